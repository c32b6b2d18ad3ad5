from pathlib import Path
from typing import ClassVar

import pytest

from headrace.flow.launcher import BUSY_TRIES, Change, Launcher, Plan, Stage, explain


def _stage(name: str, *parents: str, changes: tuple[Change, ...] = ()) -> Stage:
    return Stage(name=name, parents=parents, meta={}, deps=(), outs=(), changes=changes, is_locked=True)


EDITED = Change(kind="param", what="params.yaml:train.epochs", change="modified", old=5, new=2)


def test_a_plan_names_the_cause_and_what_may_follow() -> None:
    """The dry run says which value changed, old and new, and does not promise what depends on a result."""
    plan = Plan((_stage("split"), _stage("train", "split", changes=(EDITED,)), _stage("evaluate", "train")), has_remote=False)

    assert plan.stale() == {"train": "params.yaml:train.epochs: 5 -> 2", "evaluate": "if train gives another result"}


def test_a_forced_stage_is_stale_without_a_change() -> None:
    """--force asks for it."""
    plan = Plan((_stage("split"), _stage("train", "split")), has_remote=False)

    assert plan.stale(frozenset({"split"})) == {"split": "forced", "train": "if split gives another result"}


def test_a_long_value_does_not_fill_the_terminal() -> None:
    """A recipe switch changes lists of a hundred lines."""
    change = Change(kind="param", what="collect.sources", change="modified", old=["x" * 500], new=None)

    assert len(str(change)) < 120


@pytest.mark.badinput
def test_a_merge_conflict_in_the_lock_is_called_one(tmp_path: Path) -> None:
    """DVC calls it a failed validation of a dictionary."""
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> theirs\n")

    assert "merge conflict" in explain("'./dvc.lock' validation failed: expected a dictionary", tmp_path)


class _Execution:
    """A DVC command that gives the next of these answers."""

    answers: ClassVar[list[dict[str, object]]] = []

    def wait(self, _on_line: object, *, timeout_s: float | None) -> dict[str, object]:
        del timeout_s
        return self.answers.pop(0)


@pytest.mark.parametrize(("busy", "is_done"), [(1, True), (BUSY_TRIES, False)])
def test_dvc_is_asked_again_while_a_killed_run_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, busy: int, is_done: bool
) -> None:
    """Typed right after a kill -9, the next run met DVC's 'is busy' of a process that was still being ended."""
    monkeypatch.setattr("headrace.flow.launcher.BUSY_WAIT_S", 0.0)
    monkeypatch.setattr(_Execution, "answers", [{"error": "'reports/evaluate.json' is busy"}] * busy + [{"result": None}])
    starting = Launcher(tmp_path)

    def start(operation: str, **_: object) -> _Execution:
        assert operation == "push"
        starting._running.append(execution := _Execution())
        return execution

    monkeypatch.setattr(starting, "start", start)

    assert ("result" in starting.perform("push", lambda _: None)) is is_done
    assert not starting._running
