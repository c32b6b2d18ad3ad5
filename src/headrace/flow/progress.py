"""A transfer as a person sees it: a bar on a terminal, a plain line now and then elsewhere; and one that stands still is ended."""

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_EVERY_S = 5.0
GRACE_S, MIN_BYTES_PER_S = 60.0, 10_000.0
"""What moves fewer bytes over so long stands still; an object that is sent in one request gets the time that it takes at this rate."""


class Shown:
    """Takes the lines of DVC's process; a context manager."""

    def __init__(
        self,
        what: str,
        say: Callable[[str], Any],
        end: Callable[[], None],
        *,
        bar: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_stalled = False
        self.log: list[str] = []
        self._what, self._say, self._end, self._clock = what, say, end, clock
        self._began = self._since = self._last = clock()
        self._from = 0
        self._has_bar = bar and sys.stderr.isatty()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._has_bar:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[line]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=None, line="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def take(self, line: str, mark: str) -> None:
        """A line of the log, or after the mark how far it is."""
        if not line.startswith(mark):
            self.log.append(line)
            return
        count = json.loads(line.removeprefix(mark))
        now = self._clock()
        if count["of"] > count["objects"]:
            self._look(now, count["moved"], count["unseen"])
        if self._bar is not None:
            text = self._text(count, now)
            self._bar.update(self._task, total=count["of"] or None, completed=count["objects"], line=text)
        elif now - self._last >= PLAIN_EVERY_S:
            self._last = now
            self._say(f"{self._what}: {self._text(count, now)}")

    def _text(self, count: dict[str, int], now: float) -> str:
        rate = count["moved"] / max(now - self._began, 0.1)
        return f"{count['objects']:,} of {count['of']:,} objects, {count['moved'] / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s"

    def _look(self, now: float, moved: int, unseen: int) -> None:
        if moved - self._from >= MIN_BYTES_PER_S * GRACE_S:
            self._since, self._from = now, moved
        elif now - self._since > GRACE_S + unseen / MIN_BYTES_PER_S and not self.is_stalled:
            self.is_stalled = True
            self._end()
