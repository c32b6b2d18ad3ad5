"""Outputs and run-cache to the bucket and back: DVC's own transfer, looked at before and after."""

import contextlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.dagfile import locked_outs
from headrace.errors import ConfigError, DataError, EngineError, HeadraceError
from headrace.fingerprint import file_md5, value_sha256
from headrace.flow import freshness
from headrace.flow.dag import PROGRESS
from headrace.flow.launcher import Launcher, explain
from headrace.flow.progress import GRACE_S, MIN_BYTES_PER_S, Shown
from headrace.flow.run import lock_digest
from headrace.flow.workspace import hold_workspace
from headrace.settings import Settings, require_project
from headrace.storage.dvc_config import Remote, cache_folder, check_verified, default_remote
from headrace.storage.dvc_remote import Need, cached, client_variables, names_more_than_the_lock, needed
from headrace.storage.local import write_text

if TYPE_CHECKING:
    from headrace.storage.s3 import Bucket

MAX_NAMED = 3
CREDENTIALS_BUDGET_S = 2.0
PUSHED, PULLED = "pushed.sha256", "pulled.sha256"
"""Digests of what was sent and brought last, in .headrace."""
HERE = "everything is here already"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
DOUBT = "headrace remote audit names what is missing or corrupted; --repair stores it again from a machine that has it."


def push(settings: Settings, say: Callable[[str], Any], using: Launcher | None = None) -> str:
    """Send outputs and run-cache with DVC's process, a new one by default; see `send`.

    Raises:
        ConfigError: there is no remote, or it does not check what it gives.
        EngineError: it failed, or something is missing still.
    """
    check_verified(_remote(settings))
    return send(settings, say, using or Launcher(settings.project, client_variables(settings)), bar=True)


def send(settings: Settings, say: Callable[[str], Any], using: AbstractContextManager[Launcher], *, bar: bool = False) -> str:
    """Send outputs and run-cache, then see that all is there; what DVC took for sent and is not, is stored again.

    Where the last push sent the same dvc.lock, and a look at the bucket finds everything there, DVC is not asked at all: it would take a
    second longer to find out less.

    Args:
        settings: of this machine and project.
        say: told a line now and then.
        using: DVC's process, entered when it is needed.
        bar: draw one where there is a terminal; a run has a display of its own.

    Raises:
        ConfigError: credentials are refused, or have expired in the middle.
        EngineError: it failed, or something is missing still.
    """
    remote = _remote(settings)
    mark, key = settings.local / PUSHED, push_key(settings)
    if remote.is_s3 and _reads(mark, key) and (headline := _all_there(settings, remote)):
        return f"nothing to send; {headline}"
    say(f"to {remote.url}: outputs and run-cache")
    with ThreadPoolExecutor(1) as aside:
        looking = aside.submit(_bucket, settings, remote) if remote.is_s3 else None  # while DVC works
        try:
            sent = int(_ask(using, settings, "push", say, bar=bar))
        except EngineError as error:
            _check_credentials(settings, remote)
            raise EngineError(f"{error} What arrived stays there: headrace push goes on from it.") from None
    if looking is None:
        return f"{sent:,} objects sent"
    from headrace.storage.audit import audit

    found = audit(settings, looking.result(), sample=0, repair=True)
    if found.left:
        first = found.left[0]
        raise EngineError(
            f"{len(found.left):,} of {found.objects:,} objects are not right in {remote.url} after the push, first {first.output} "
            f"({first.key}): {first.why}. {DOUBT}"
        )
    write_text(mark, key)
    return f"{sent:,} objects sent; {found.headline}"


def _bucket(settings: Settings, remote: Remote) -> "Bucket":
    """A client that looks at the bucket, and all that the look imports."""
    import headrace.storage.audit  # noqa: F401
    from headrace.storage.s3 import Bucket

    return Bucket(settings, remote.bucket, endpoint=remote.endpoint)


def push_key(settings: Settings) -> str:
    """Digest of what is to be sent, and where to."""
    remote = _remote(settings)
    return value_sha256([remote.url, remote.endpoint, lock_digest(settings.project)])


def _all_there(settings: Settings, remote: Remote) -> str:
    """The audit's headline when nothing is left to send, else ''."""
    if names_more_than_the_lock(settings.project):
        return ""
    from headrace.storage.audit import audit

    found = audit(settings, sample=0)
    if found.broken:
        return ""
    here, there = _results(settings, remote)
    return "" if here - there else found.headline


def _results(settings: Settings, remote: Remote) -> tuple[set[str], set[str]]:
    """Entries of the run-cache on this machine and in the bucket."""
    bucket = _bucket(settings, remote)
    there = {each.key.removeprefix(remote.prefix) for each in bucket.objects(f"{remote.prefix}runs/")}
    cache = cache_folder(settings.project)
    return {path.relative_to(cache).as_posix() for path in cache.glob("runs/??/*/*")}, there


def pull(settings: Settings, say: Callable[[str], Any], using: Launcher | None = None) -> str:
    """Bring outputs and run-cache here and check the outputs out; every object is compared with its hash on the way.

    DVC's process is a new one by default.

    Where nothing here has changed since a pull that brought all of it, and the bucket has no new result, DVC is not asked.

    Raises:
        ConfigError: there is no remote, or it does not check what it gives.
        EngineError: it failed: the server, or an object that is missing or corrupted.
    """
    remote = _remote(settings)
    check_verified(remote)
    mark = settings.local / PULLED
    with hold_workspace(settings.local):
        if remote.is_s3 and _reads(mark, _marks(settings)):
            here, there = _results(settings, remote)
            if there <= here:
                return HERE
        say(f"from {remote.url}: outputs and run-cache")
        try:
            counts = _ask(using or Launcher(settings.project, client_variables(settings)), settings, "pull", say, bar=True)
        except EngineError as error:
            raise EngineError(f"{error}{_named(settings, remote)} {DOUBT}") from None
        write_text(mark, _marks(settings))
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return "; ".join(told) if told else HERE


def _marks(settings: Settings) -> str:
    """Digest of dvc.lock and of size, time and inode of all that it names, outputs and cached objects; '' when some is not here."""
    project = settings.project
    if names_more_than_the_lock(project) or not (project / "dvc.lock").exists():
        return ""
    cache = cache_folder(project)

    def read_list(need: Need) -> bytes | None:
        path = cached(cache, need.md5)
        return path.read_bytes() if path.exists() and file_md5(path) == need.digest else None

    needs = needed(project, read_list)
    outputs = [project / path for path, md5 in locked_outs(project).items() if md5 in needs]
    found = freshness.marks([*outputs, *(cached(cache, md5) for md5 in needs)])
    return value_sha256([push_key(settings), sorted(found.items())]) if all(found.values()) else ""


def _reads(mark: Path, expected: str) -> bool:
    return bool(expected) and mark.exists() and mark.read_text(encoding="utf-8") == expected


def _check_credentials(settings: Settings, remote: Remote) -> None:
    """Raise ConfigError where the bucket refuses ours: through DVC, a token that has expired reads "Bad Request"."""
    if remote.is_s3:
        from headrace.storage.s3 import Bucket

        with contextlib.suppress(DataError, EngineError):
            bucket = Bucket(settings, remote.bucket, endpoint=remote.endpoint, budget_s=CREDENTIALS_BUDGET_S)
            next(bucket.objects(remote.prefix), None)


def _remote(settings: Settings) -> Remote:
    remote = default_remote(settings.project)
    if remote is None:
        require_project(settings.project)
        raise ConfigError("this project has no remote. headrace remote add s3://bucket/prefix")
    return remote


def _named(settings: Settings, remote: Remote) -> str:
    """What a pull lacks, as far as the bucket tells: DVC only counts."""
    if not remote.is_s3:
        return ""
    from headrace.storage.audit import audit

    try:
        left = audit(settings, sample=0).left
    except HeadraceError as error:
        return f" {error}"
    names = ", ".join(f"{each.output} ({each.what}, {each.key})" for each in left[:MAX_NAMED])
    return f" Broken in the bucket: {names}{' and more' if len(left) > MAX_NAMED else ''}." if left else ""


def _ask(
    using: AbstractContextManager[Launcher], settings: Settings, operation: str, say: Callable[[str], Any], *, bar: bool
) -> Any:
    with using as launcher, Shown(operation, say, launcher.end_all, bar=bar) as shown:
        answer = launcher.perform(
            operation, lambda line: shown.take(line, PROGRESS), environment=client_variables(settings), progress=True
        )
    if shown.is_stalled:
        raise EngineError(
            f"{operation} stood still: less than {MIN_BYTES_PER_S / 1000:g} kB a second for {GRACE_S:g} s. Look at the network and "
            "the server, then run the same command again."
        )
    if "result" not in answer:
        problem = explain(COLOURS.sub("", str(answer.get("error") or "it was killed")), settings.project)
        raise EngineError(f"{operation} failed: {problem}.")
    return answer["result"]
