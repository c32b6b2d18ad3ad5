"""The ledger of promotions on the state branch: whoever pushes first has written, and everybody else reads again.

The file on this machine is a copy of what the branch has. An entry is in the ledger when its push was taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from headrace.errors import EngineError, LedgerMoved, RegistryError
from headrace.registry import ledger
from headrace.settings import Settings, current_branch
from headrace.state.branch import StateBranch, pause, state_branch
from headrace.storage.local import write_bytes, write_text
from headrace.storage.locks import file_lock, try_file_lock

NAME = "ledger.jsonl"
"""The ledger on the branch."""

TRIES = 20
"""Times a comparison is made anew because another machine wrote first."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class SharedLedger:
    """The ledger of a team: on a branch, with a copy here."""

    branch: StateBranch
    copy: Path

    def bring(self) -> None:
        """Make the copy what the branch has, and put on the branch what only the copy has; the caller holds the ledger's lock.

        Raises:
            RegistryError: the two tell different stories, or one was changed after it was written.
            StateRefused: the branch takes no push from this user.
            EngineError: the remote does not answer.
        """
        there = self._content(self.branch.tip())
        here = ledger.whole_lines(self.copy)
        if here.startswith(there) and here != there:
            ledger.parse(here, self.copy.name)  # nothing that was tampered with becomes everybody's
            self.publish(there, here, "Ledger of promotions: what one machine has kept so far")
        elif there != here:
            self._take(there, here)
        self._remember()

    def publish(self, before: bytes, after: bytes, message: str) -> None:
        """Put the ledger with a new entry on the branch, if the branch still has the one it was written after.

        Raises:
            LedgerMoved: another machine has written since.
            StateRefused: the branch takes no push from this user.
            EngineError: the remote does not answer.
        """

        def change(tip: str | None) -> dict[str, bytes]:
            if self._content(tip) != before:
                raise LedgerMoved(f"another machine writes into the ledger of promotions ({self.branch.title}). Try again.")
            return {NAME: after}

        self.branch.add(change, message)
        self._remember()

    def refresh(self) -> str:
        """As `bring`, for who only wants to read: publishes nothing, waits for nobody.

        Returns:
            What the reader should know, '' when the copy is what the branch has.

        Raises:
            RegistryError: the two tell different stories, or one was changed after it was written.
        """
        with try_file_lock(lock_path(self.copy)) as is_held:
            if not is_held:
                return "a promotion is at work: this is the ledger before it"
            try:
                there = self._content(self.branch.tip())
            except EngineError as error:
                return f"as of the last time that {self.branch.title} was reached ({error})"
            here = ledger.whole_lines(self.copy)
            if not here.startswith(there):
                self._take(there, here)
        return ""

    def _take(self, there: bytes, here: bytes) -> None:
        ledger.parse(there, f"{self.branch.title}:{NAME}")
        if not there.startswith(here):
            raise RegistryError(
                f"{self.copy} and {NAME} on {self.branch.title} tell different stories: each has entries that the other lacks. "
                f"If the branch is right, move {self.copy.name} away; it is fetched anew."
            )
        write_bytes(self.copy, there)

    def _content(self, tip: str | None) -> bytes:
        return (self.branch.repository.read(tip, NAME) or b"") if tip else b""

    def _remember(self) -> None:
        marker = _marker(self.copy)
        if not marker.exists():
            write_text(marker, f"{self.branch.title}\n")


def shared_ledger(settings: Settings) -> SharedLedger | None:
    """The ledger on the state branch, None where it is a file of this machine only.

    It is shared where somebody named the state branch (HEADRACE_STATE_BRANCH), in a scheduled run's checkout, which is on it, where this
    machine has put the ledger on it before, and where the registry is a team's and the remote has the branch: who promotes in a
    registry must read the ledger of that registry.
    """
    branch = state_branch(settings)
    if branch is None:
        return None
    is_wanted = (
        settings.is_state_branch_named or current_branch(settings.project) == branch.name or _marker(settings.ledger).exists()
    )
    if is_wanted or (settings.is_shared_registry and branch.tip() is not None):
        return SharedLedger(branch, settings.ledger)
    return None


def decide(path: Path, shared: SharedLedger | None, attempt: Callable[[], Result]) -> Result:
    """Hold the ledger and call `attempt`; anew, from the reading on, whenever another machine wrote meanwhile."""
    with file_lock(lock_path(path)):
        for turn in range(TRIES):
            if shared is not None:
                shared.bring()
            try:
                return attempt()
            except LedgerMoved:
                if turn == TRIES - 1:
                    raise
                pause(turn)
    raise AssertionError("the last turn returns or raises")


def publisher(shared: SharedLedger | None) -> Callable[[bytes, bytes, str], Any] | None:
    """How an entry gets onto the branch, None where there is none."""
    return shared.publish if shared is not None else None


def lock_path(path: Path) -> Path:
    """The file that whoever changes a champion locks."""
    return path.with_name(path.name + ".lock")


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".branch")
