"""Which process is which, and how to end one with everything it started.

A pid alone names nobody for long: numbers are reused. So a process is (pid, start time) everywhere in Headrace.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from headrace.storage.local import write_text

SHELLS = {"sh", "dash", "bash", "zsh", "ksh", "busybox"}
WATCH_INTERVAL_S = 0.5
END_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process of this machine, for as long as it lives."""

    pid: int
    started: float
    """Seconds since the epoch, as the system tells it."""

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has this pid now; None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @classmethod
    def own(cls) -> "ProcessId":
        """This process."""
        return cls(os.getpid(), psutil.Process().create_time())

    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 0.01 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def to_text(self) -> str:
        """For a lock file or an environment variable."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "ProcessId | None":
        """The reverse of `to_text`; None for anything else."""
        try:
            found = json.loads(text)
            return cls(int(found["pid"]), float(found["started"]))
        except (ValueError, KeyError, TypeError):
            return None


def starter(pid: int | None = None) -> list[ProcessId]:
    """The processes whose death means nobody waits for this one: its ancestors up to the first that is not a `sh -c` shell."""
    chain = []
    for ancestor in psutil.Process(pid).parents():
        identity = ProcessId.of(ancestor.pid)
        if identity is None:
            break
        chain.append(identity)
        try:
            line = ancestor.cmdline()
        except psutil.Error:
            break
        if not (line and Path(line[0]).name.lstrip("-") in SHELLS and "-c" in line[1:2]):
            break
    return chain


def children(of: ProcessId) -> set[ProcessId]:
    """The processes that one has started and that live; empty when it is gone."""
    if not of.is_alive():
        return set()
    try:
        found = psutil.Process(of.pid).children()
    except psutil.Error:
        return set()
    return {identity for process in found if (identity := ProcessId.of(process.pid)) is not None}


def watch(others: Iterable[ProcessId], on_death: Callable[[], None]) -> None:
    """Call `on_death` once any of `others` has ended; looks twice a second from a daemon thread."""
    watched = list(others)

    def look() -> None:
        while all(other.is_alive() for other in watched):
            time.sleep(WATCH_INTERVAL_S)
        on_death()

    threading.Thread(target=look, name="watch-parent", daemon=True).start()


def end_descendants(of: int | None = None, *, grace_s: float = 0.0) -> None:
    """Kill every descendant of a process (default: this one), the youngest generation included; with a grace, ask first."""
    try:
        children = psutil.Process(of).children(recursive=True)
    except psutil.Error:
        return
    if grace_s:
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.terminate()
        _, children = psutil.wait_procs(children, timeout=grace_s)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=END_LIMIT_S)  # a kill is an order, not yet its execution


def end_process(identity: ProcessId) -> bool:
    """Kill a process and its descendants, if it is still the one meant. Returns whether it was alive."""
    if not identity.is_alive():
        return False
    end_descendants(identity.pid)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        process.kill()
        process.wait(END_LIMIT_S)
    return True


def end_group(group: int, *, grace_s: float = 0.0) -> None:
    """End a process group: SIGTERM and a grace when given, then SIGKILL."""
    if grace_s:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and _group_lives(group):
            time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class PidFile:
    """Remembers who works on something, so that a survivor of a killed run is found and ended before the next one starts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> bool:
        """Make this process the worker; end the previous one if it survived. Returns whether one was ended."""
        previous = ProcessId.from_text(self._path.read_text(encoding="utf-8")) if self._path.exists() else None
        ended = previous is not None and previous != ProcessId.own() and end_process(previous)
        write_text(self._path, ProcessId.own().to_text())
        return ended

    def leave(self) -> None:
        """Forget this process."""
        self._path.unlink(missing_ok=True)
