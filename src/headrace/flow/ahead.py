"""Stages that begin while Prefect is imported and its server starts; the flow's tasks take over what they find begun.

docs/decisions/0012-head-start.md says why, and what stays Prefect's.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from headrace.flow.launcher import Stage

if TYPE_CHECKING:
    from headrace.flow.run import Outcome

Log = Callable[[str], None]


class Begun:
    """A stage that was begun ahead of its task: what it prints, and what becomes of it."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._end: Future[Outcome] = Future()

    def do(self, work: Callable[[Log], "Outcome"]) -> bool:
        """Run it to its end; returns whether it went well."""
        try:
            self._end.set_result(work(self._lines.put))
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self._end.set_exception(error)
        self._lines.put(None)
        return self._end.exception() is None

    def follow(self, log: Log) -> "Outcome":
        """Hand over what it has printed and prints until it ends; returns or raises what `work` did."""
        for line in iter(self._lines.get, None):
            log(line)
        return self._end.result()

    def failure(self) -> BaseException | None:
        """What it failed with, None when it went well or still works."""
        return self._end.exception() if self._end.done() else None


class HeadStart:
    """Begins stages whose parents are done, in the order of the plan, until it is closed.

    Args:
        stages: of the plan, parents before children.
        work: brings one stage up to date and hands on its output line by line.
        max_stages: how many work at the same time.
    """

    def __init__(self, stages: Sequence[Stage], work: Callable[[Stage, Log], "Outcome"], *, max_stages: int) -> None:
        self._waiting = list(stages)
        self._work = work
        self._begun: dict[str, Begun] = {}
        self._done: set[str] = set()
        self._changed = threading.Condition()
        self.is_open = True
        """Whether stages may still begin: nobody has taken over yet."""
        self._threads = [threading.Thread(target=self._go_on, name=f"ahead-{n}", daemon=True) for n in range(max_stages)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No further stage begins; those at work go on."""
        with self._changed:
            self.is_open = False
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when those at work have ended; close first."""
        for thread in self._threads:
            thread.join()

    def take_over(self, name: str) -> Begun | None:
        """The stage of that name if it was begun, once: a second try is a new execution."""
        with self._changed:
            return self._begun.pop(name, None)

    def failures(self) -> list[BaseException]:
        """What stages have failed with that no task has taken over."""
        with self._changed:
            return [failure for begun in self._begun.values() if (failure := begun.failure()) is not None]

    def _go_on(self) -> None:
        while (found := self._next()) is not None:
            stage, begun = found
            went_well = begun.do(partial(self._work, stage))
            with self._changed:
                if went_well:
                    self._done.add(stage.name)
                self._changed.notify_all()

    def _next(self) -> tuple[Stage, Begun] | None:
        with self._changed:
            while self.is_open:
                for stage in self._waiting:
                    if self._done.issuperset(stage.parents):
                        self._waiting.remove(stage)
                        begun = self._begun[stage.name] = Begun()
                        return stage, begun
                self._changed.wait()
        return None
