"""Progress for the person at the terminal: nested rich bars on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from headrace.listening import Progress

PLAIN_INTERVAL_S = 5.0
"""Without a terminal a long piece of work says where it is this often, at most."""


class PlainProgress:
    """One line when a piece of work ends, and one now and then while it goes on."""

    def __init__(self) -> None:
        self._open: list[tuple[str, int | None, str]] = []
        self._done: list[int] = []
        self._last = time.monotonic()

    def start(self, label: str, total: int | None = None, *, unit: str = "") -> None:
        """Begin a piece of work."""
        self._open.append((label, total, unit))
        self._done.append(0)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count steps; prints when a few seconds have passed since the last line."""
        self._done[-1] += steps
        if time.monotonic() - self._last >= PLAIN_INTERVAL_S:
            self._line(note)

    def finish(self, note: str = "") -> None:
        """End the innermost piece; prints when there is something to tell."""
        if note and len(self._open) > 1:
            self._line(note)  # an epoch; what the whole stage came to is told by its headline
        self._open.pop()
        self._done.pop()

    def say(self, line: str) -> None:
        """Print one line."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _line(self, note: str) -> None:
        parts = []
        for (label, total, unit), done in zip(self._open, self._done, strict=True):
            of = f"/{total:,}" if total else ""
            parts.append(f"{label} {done:,}{of}{' ' + unit if unit else ''}" if total or done else label)
        self.say(" · ".join([*parts, note] if note else parts))
        self._last = time.monotonic()


class RichProgress:
    """Nested bars, redrawn in place."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[note]}"),
            transient=True,
        )
        self._tasks: list[int] = []

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def start(self, label: str, total: int | None = None, *, unit: str = "") -> None:
        """Begin a piece of work."""
        self._tasks.append(self._bars.add_task("  " * len(self._tasks) + label, total=total, unit=unit, note=""))

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count steps."""
        task = self._tasks[-1]
        self._bars.advance(task, steps)  # type: ignore[arg-type]  # rich's TaskID is an int
        if note:
            self._bars.update(task, note=note)  # type: ignore[arg-type]

    def finish(self, note: str = "") -> None:
        """End the innermost piece, and keep its note as a line."""
        task = self._tasks.pop()
        label = self._bars.tasks[self._bars.task_ids.index(task)].description.strip()  # type: ignore[arg-type]
        self._bars.remove_task(task)  # type: ignore[arg-type]
        if note:
            self.say(f"{label} · {note}")

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False)


def terminal_progress() -> Progress:
    """Bars on a terminal, plain lines elsewhere."""
    return RichProgress().__enter__() if sys.stdout.isatty() else PlainProgress()
