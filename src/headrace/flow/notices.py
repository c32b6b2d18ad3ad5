"""One message to whoever keeps watch: which stage, why, the last lines of its log, and what to type to look further.

The addresses are Apprise URLs (a webhook, e-mail, chat) in HEADRACE_NOTIFY_URLS. They are secrets: no log, param or artifact has them.
"""

import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.settings import Settings, project_name
from headrace.tracking.secrets import strip_secrets

TAIL_LINES = 12
MAX_LINE_CHARS = 300


@dataclass(frozen=True)
class Notice:
    """What is told."""

    flow: str
    subject: str
    """The stage or step, or the run."""
    reason: str
    look: str
    """The command to look further."""
    happened: str = "failed"
    tail: tuple[str, ...] = ()
    page: str = ""
    """The run in the Prefect UI."""

    @property
    def title(self) -> str:
        """The subject line."""
        return f"{self.flow}: {self.subject} {self.happened}"

    @property
    def body(self) -> str:
        """The text, free of secrets as far as their shape tells."""
        lines = [self.reason]
        if self.tail:
            lines += ["", "last lines of its log:", *(f"    {line}" for line in self.tail)]
        lines += ["", f"look further: {self.look}"]
        if self.page:
            lines.append(self.page)
        return strip_secrets("\n".join(lines))


def send(settings: Settings, notice: Notice, *, say: Callable[[str], Any]) -> bool:
    """Send it to every address; whether all took it. A message that cannot be sent is said, and ends nothing."""
    urls = settings.notify_urls.get_secret_value() if settings.notify_urls else ""
    if not urls.strip():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the modules it imports, one by one, for every kind of address
        return _post(settings, urls, notice, say)


def _post(settings: Settings, urls: str, notice: Notice, say: Callable[[str], Any]) -> bool:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses
    post = apprise.Apprise()
    if not post.add(urls):
        say("notices: HEADRACE_NOTIFY_URLS has an address that Apprise does not know (https://appriseit.com lists them)")
    title = f"[{project_name(settings.project)}] {notice.title}"
    taken = bool(post.servers) and bool(post.notify(body=notice.body, title=title, body_format=apprise.NotifyFormat.TEXT))
    if not taken:
        kinds = ", ".join(sorted({str(server.service_name) for server in post.servers})) or "none"
        say(f"notices: not every address took the message (kinds: {kinds})")
    return taken


def tail_of(path: Path) -> tuple[str, ...]:
    """The last lines of a stage's log."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(re.sub(r"\x1b\[[0-9;]*m", "", line)[:MAX_LINE_CHARS] for line in lines if line.strip())[-TAIL_LINES:]
