"""The head start by itself: real threads, stages that the test lets end."""

import threading
from collections.abc import Callable

import pytest

from headrace.errors import StageFailed
from headrace.flow.ahead import HeadStart
from headrace.flow.launcher import Stage
from headrace.flow.run import EndState, Outcome

LIMIT_S = 10.0


def _stage(name: str, *parents: str) -> Stage:
    return Stage(name=name, parents=parents, meta={}, deps=(), outs=(), changes=(), is_locked=False)


class Work:
    """Stages that begin when they are told to and end when the test says so."""

    def __init__(self, *, failing: str = "") -> None:
        self.failing = failing
        self.begun: list[str] = []
        self._news = threading.Condition()
        self._may_end: dict[str, threading.Event] = {}

    def __call__(self, stage: Stage, log: Callable[[str], None]) -> Outcome:
        log(f"{stage.name} begins")
        with self._news:
            self.begun.append(stage.name)
            self._news.notify_all()
        assert self._event(stage.name).wait(LIMIT_S)
        log(f"{stage.name} ends")
        if stage.name == self.failing:
            raise StageFailed(f"stage {stage.name} failed")
        return Outcome(EndState.RAN, 1.0, stage.name)

    def end(self, *names: str) -> None:
        for name in names:
            self._event(name).set()

    def wait_for(self, *names: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: set(names) <= set(self.begun), LIMIT_S), f"{names} of {self.begun}"

    def _event(self, name: str) -> threading.Event:
        return self._may_end.setdefault(name, threading.Event())


DIAMOND = (_stage("split"), _stage("augment", "split"), _stage("baseline", "split"), _stage("train", "augment", "baseline"))


def _take_over(ahead: HeadStart, name: str, lines: list[str] | None = None) -> Outcome:
    begun = ahead.take_over(name)
    assert begun is not None
    return begun.follow((lines if lines is not None else []).append)


def test_a_task_that_comes_while_the_stage_works_gets_all_its_lines() -> None:
    """What was printed before Prefect was there belongs into the task's log too, in order."""
    work, lines = Work(), list[str]()
    ahead = HeadStart(DIAMOND, work, max_stages=2)
    work.wait_for("split")
    task = threading.Thread(target=_take_over, args=(ahead, "split", lines))
    task.start()

    work.end("split")
    task.join(LIMIT_S)
    ahead.close()
    work.end("augment", "baseline")

    assert lines == ["split begins", "split ends"]


def test_a_task_that_comes_after_the_end_gets_the_same_outcome() -> None:
    """The stage is not run again for it."""
    work, lines = Work(), list[str]()
    ahead = HeadStart(DIAMOND, work, max_stages=2)
    work.end("split")
    work.wait_for("augment", "baseline")
    ahead.close()

    outcome = _take_over(ahead, "split", lines)
    work.end("augment", "baseline")

    assert Outcome(EndState.RAN, 1.0, "split") == outcome
    assert lines == ["split begins", "split ends"]
    assert work.begun.count("split") == 1


def test_a_failure_ahead_is_the_first_attempt() -> None:
    """Retries stay Prefect's: its first attempt fails as the stage did, and finds nothing begun when it tries again."""
    work = Work(failing="split")
    ahead = HeadStart(DIAMOND, work, max_stages=2)
    work.end("split")

    with pytest.raises(StageFailed, match="stage split failed"):
        _take_over(ahead, "split")
    ahead.close()

    assert ahead.take_over("split") is None
    assert work.begun == ["split"]


def test_what_failed_and_was_not_taken_over_can_be_told() -> None:
    """When Prefect does not come up either, the user sees both."""
    work = Work(failing="a")
    ahead = HeadStart((_stage("a"), _stage("b")), work, max_stages=1)
    work.end("a")
    work.wait_for("b")  # the only thread has done with `a`
    ahead.close()

    told = [str(failure) for failure in ahead.failures()]
    work.end("b")

    assert told == ["stage a failed"]


def test_no_stage_begins_before_its_parents_are_done() -> None:
    """Two threads are free while `baseline` still works."""
    work = Work()
    ahead = HeadStart(DIAMOND, work, max_stages=3)
    work.end("split")
    work.wait_for("augment", "baseline")
    work.end("augment")
    assert _take_over(ahead, "augment").headline == "augment"

    assert "train" not in work.begun

    work.end("baseline")
    work.wait_for("train")
    ahead.close()
    work.end("train")


def test_no_more_stages_than_allowed_work_at_once() -> None:
    """The limit is the flow's: HEADRACE_MAX_STAGES."""
    work = Work()
    ahead = HeadStart([_stage(name) for name in "abc"], work, max_stages=2)
    work.wait_for("a", "b")

    assert work.begun == ["a", "b"] or work.begun == ["b", "a"]

    work.end("a")
    work.wait_for("c")
    ahead.close()
    work.end("b", "c")


def test_nothing_begins_after_the_flow_has_taken_over() -> None:
    """From then on Prefect decides: what is at work goes on, its children wait for their tasks."""
    work = Work()
    ahead = HeadStart(DIAMOND, work, max_stages=2)
    work.wait_for("split")

    ahead.close()
    work.end("split")

    assert _take_over(ahead, "split").state is EndState.RAN
    assert work.begun == ["split"]
    assert ahead.take_over("augment") is None
