"""What a stage may tell the outside world while it works. Listeners: absent or present, no byte of an output changes.

The runner hands `tracker` and `progress` to a `run` that asks for them; both have a silent form here, for tests and for own code.
"""

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """A line or a bar for the person at the terminal."""

    def start(self, label: str, total: int | None = None, *, unit: str = "") -> None:
        """Begin a piece of work with `total` steps (None: unknown), nested in the one that is open."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count steps of the innermost piece; `note` is a short live text such as 'loss 0.231'."""

    def finish(self, note: str = "") -> None:
        """End the innermost piece."""

    def say(self, line: str) -> None:
        """Print one line above the bars."""


class Tracker(Protocol):
    """The run of a trained candidate in the tracking server, found again by its fingerprint."""

    def begin(self, fingerprint: str, params: Mapping[str, object]) -> int:
        """Open or resume the run of this fingerprint; returns the last step already logged, -1 when new."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics of one step; sent in batches in the background, never blocks training on the network."""

    def end(self, status: str = "finished") -> None:
        """Flush and close: 'finished', 'failed' or 'killed'."""


class SilentProgress:
    """Progress that prints nothing."""

    def start(self, label: str, total: int | None = None, *, unit: str = "") -> None:
        """Nothing to show."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Nothing to show."""

    def finish(self, note: str = "") -> None:
        """Nothing to show."""

    def say(self, line: str) -> None:
        """Nothing to show."""


class SilentTracker:
    """Tracker that records nothing."""

    def begin(self, fingerprint: str, params: Mapping[str, object]) -> int:  # noqa: ARG002  # the protocol's names
        """Every run is new."""
        return -1

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing is kept."""

    def end(self, status: str = "finished") -> None:
        """Nothing to close."""
