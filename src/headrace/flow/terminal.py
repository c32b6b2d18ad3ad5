"""What the person at the terminal sees of a run: one line per stage, a spinner while it works, plain lines elsewhere."""

import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from headrace.variables import variable

MARKS = {
    "ran": ("✓", "green"),
    "restored": ("↺", "cyan"),
    "unchanged": ("·", "dim"),
    "failed": ("✗", "red"),
    "done": ("✓", "green"),
}


class Terminal:
    """Shows stages and steps. On a terminal: a live line for each at work; elsewhere, and with NO_COLOR, plain lines.

    Args:
        quiet: print nothing but errors.
        verbose: print every line a stage prints, with its name in front; on by default where there is no terminal.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._is_live = sys.stdout.isatty() and not variable("NO_COLOR") and not quiet
        self._verbose = verbose or not sys.stdout.isatty()
        self._lock = threading.Lock()
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, name: str) -> None:
        """A stage starts to work."""
        if not self._is_live:
            return
        with self._lock:
            if self._bars is None:
                from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

                self._bars = Progress(
                    SpinnerColumn(style="blue"),
                    TextColumn("{task.description:<10}"),
                    TimeElapsedColumn(),
                    TextColumn("[dim]{task.fields[note]}", markup=True),
                    transient=True,
                )
                self._bars.start()
            self._tasks[name] = self._bars.add_task(name, total=None, note="")

    def line(self, name: str, text: str) -> None:
        """A stage at work printed a line."""
        if text.startswith(("Running stage", "> ", "Stage '")):
            return
        if self._is_live and name in self._tasks:
            with self._lock:
                self._bars.update(self._tasks[name], note=text.replace("[", "\\[")[:100])
        if self._verbose and not self._quiet:
            self.say(f"  {name} | {text}")

    def end(self, name: str, state: str, seconds: float, headline: str, *, below: Sequence[str] = ()) -> None:
        """A stage or step ended; `below` are reasons that belong to it."""
        with self._lock:
            if self._bars is not None and name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))
        if self._quiet and state != "failed":
            return
        mark, colour = MARKS.get(state, ("·", "dim"))
        took = f"{seconds:6.1f} s" if seconds >= 0.05 else " " * 8
        text = f"{mark} {name:<10} {state:<10} {took}  {headline}".rstrip()
        if self._quiet:
            sys.stderr.write(text + "\n")  # standard output belongs to --json
        elif self._is_live:
            from rich.text import Text

            self._console().print(Text(text, style=colour if state in ("failed", "unchanged") else ""))
        else:
            self.say(text)
        for line in below:
            self.say(f"    {line}")

    def say(self, text: str) -> None:
        """Print a line above whatever is live."""
        if self._is_live:
            self._console().print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _console(self) -> Any:
        if self._bars is not None:
            return self._bars.console
        from rich.console import Console

        return Console()
