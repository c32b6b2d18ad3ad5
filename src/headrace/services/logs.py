"""`headrace logs`: the last lines of the services' logs, and what is added."""

import time
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import ConfigError
from headrace.services.credentials import read_or_make
from headrace.services.inventory import ORDER
from headrace.services.service import log_path
from headrace.settings import Settings

FOLLOW_EVERY_S = 0.3
READ_BYTES = 256_000


def lines(settings: Settings, name: str | None, *, last: int, follow: bool) -> Iterator[str]:
    """Lines, with the service's name before each where there are several; passwords masked.

    Args:
        settings: of the project.
        name: of a service; None: all that have a log.
        last: lines of each to begin with.
        follow: go on as lines are added; ends by Ctrl-C.

    Raises:
        ConfigError: no such service, or no log yet.
    """
    if name is not None and name not in ORDER:
        raise ConfigError(f"there is no service '{name}'. Services: {', '.join(ORDER)}.")
    folder = settings.services_folder
    paths = {each: log_path(folder, each) for each in ([name] if name else ORDER) if log_path(folder, each).exists()}
    if not paths:
        raise ConfigError(f"{name or 'no service'} has {'no' if name else 'a'} log yet. headrace up starts the services.")
    secret = [value for value in vars(read_or_make(folder)).values() if value]
    prefix = {each: f"{each:<12} | " if len(paths) > 1 else "" for each in paths}
    at: dict[str, int] = {}
    for each, path in paths.items():
        size = path.stat().st_size
        found, at[each] = _read(path, max(0, size - READ_BYTES))
        yield from (prefix[each] + _masked(line, secret) for line in found[-last:])
    while follow:
        time.sleep(FOLLOW_EVERY_S)
        for each, path in paths.items():
            if path.exists():
                found, at[each] = _read(path, at[each] if path.stat().st_size >= at[each] else 0)
                yield from (prefix[each] + _masked(line, secret) for line in found)


def _read(path: Path, start: int) -> tuple[list[str], int]:
    """Whole lines from `start` on, and where the next one begins."""
    with path.open("rb") as log:
        log.seek(start)
        content = log.read()
    whole = content[: content.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace").splitlines(), start + len(whole)


def _masked(line: str, secret: list[str]) -> str:
    for each in secret:
        line = line.replace(each, "***")
    return line
