"""One run per workspace: who holds it, and who was left behind by the last one."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from headrace.errors import WorkspaceBusy
from headrace.processes import PidFile, ProcessId, end_process


@contextmanager
def hold_workspace(local: Path) -> Iterator[None]:
    """Hold the workspace whose state is in `local` (.headrace) while the block runs.

    The lock is the system's (flock): a killed run frees it. Stages that a killed run left alive are ended first.

    Raises:
        WorkspaceBusy: another live process holds it; the message says which, and since when.
    """
    local.mkdir(parents=True, exist_ok=True)
    path = local / "workspace.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise WorkspaceBusy(_who(lock.read(), local)) from None
        lock.truncate(0)
        lock.write(ProcessId.own().to_text())
        lock.flush()
        end_survivors(local)
        try:
            yield
        finally:
            lock.truncate(0)


def holder(local: Path) -> ProcessId | None:
    """The live process that holds the workspace, None when it is free."""
    path = local / "workspace.lock"
    found = ProcessId.from_text(path.read_text(encoding="utf-8")) if path.exists() else None
    return found if found is not None and found.is_alive() else None


def end_survivors(local: Path) -> list[str]:
    """End stages whose run was killed; returns their names. Call while holding the workspace."""
    ended = []
    for path in sorted((local / "working").glob("*.json")):
        worker = ProcessId.from_text(path.read_text(encoding="utf-8"))
        # A stage started by a `dvc repro` typed by hand is no survivor: its parent lives.
        if worker is not None and worker.is_alive() and _is_orphan(worker) and end_process(worker):
            ended.append(path.stem)
            PidFile(path).leave()
    return ended


def _is_orphan(worker: ProcessId) -> bool:
    import psutil

    try:
        return psutil.Process(worker.pid).ppid() == 1 or psutil.Process(worker.pid).parent() is None
    except psutil.Error:
        return False


def _who(text: str, local: Path) -> str:
    holder = ProcessId.from_text(text)
    workspace = local.parent
    if holder is None:
        return f"another run is starting in {workspace}. Wait for it, or work in another clone."
    since = datetime.fromtimestamp(holder.started, UTC).strftime("%H:%M:%S UTC")
    return (
        f"process {holder.pid} has been running in {workspace} since {since}. Wait for it, end it with `kill {holder.pid}`, "
        f"or work in another clone."
    )
