"""A checkout where nothing moves: neither a run of ours nor a command of DVC's."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from headrace.errors import ConfigError, WorkspaceBusy
from headrace.flow.workspace import hold_workspace


@contextmanager
def standstill(checkout: Path) -> Iterator[None]:
    """Keep runs and DVC's own commands out of a checkout.

    Raises:
        WorkspaceBusy: one is at work there.
        ConfigError: the checkout is not ours to lock.
    """
    try:
        with hold_workspace(checkout / ".headrace"), ExitStack() as stack:
            lock = checkout / ".dvc" / "tmp" / "lock"
            if lock.exists():
                held = stack.enter_context(lock.open("r+"))
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise WorkspaceBusy(f"a DVC command is at work in {checkout}. Wait for its end, then again.") from None
            for pid, command in _at_work(checkout / ".dvc" / "tmp" / "rwlock"):
                raise WorkspaceBusy(f"`{command}` (process {pid}) is at work in {checkout}. Wait for its end, then again.")
            yield
    except PermissionError as error:
        raise ConfigError(
            f"{checkout} uses this cache too and cannot be locked ({error.strerror}: {error.filename}). Ask its owner to run this command."
        ) from None


def _at_work(path: Path) -> Iterator[tuple[int, str]]:
    """Live DVC commands that hold files of a checkout: while a stage runs, DVC lets go of its lock but not of these."""
    try:
        locks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    holders = [*locks.get("write", {}).values(), *(each for several in locks.get("read", {}).values() for each in several)]
    for each in holders:
        if psutil.pid_exists(int(each["pid"])):
            yield int(each["pid"]), str(each["cmd"])
