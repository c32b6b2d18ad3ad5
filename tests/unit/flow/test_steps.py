from pathlib import Path

import pytest

from headrace.flow import steps
from headrace.flow.launcher import Launcher, Plan, Stage
from headrace.flow.run import EndState, Outcome, Run
from headrace.flow.steps import Step, get_ready
from headrace.flow.terminal import Terminal
from headrace.settings import Settings


def _stage(name: str) -> Stage:
    return Stage(name=name, parents=(), meta={}, deps=(), outs=(), changes=(), is_locked=False)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What got ready, of two steps: one is pending, the other has no project to work on."""
    found: list[str] = []

    def broken(settings: Settings) -> None:
        found.append("broken")
        raise ImportError("no such module")

    def step(name: str, *, applies: bool) -> Step:
        return Step(
            name,
            lambda _: applies,
            lambda _: "key",
            lambda _run, _log: ("", ()),
            broken if applies else lambda _: found.append(name),
        )

    monkeypatch.setattr(steps, "STEPS", (step("pending", applies=True), step("absent", applies=False)))
    return found


def _run(project: Path, *, ended: int) -> Run:
    run = Run(Settings(project=project), Launcher(project), Terminal(quiet=True), token="t")
    run.plan = Plan(tuple(_stage(name) for name in "abcd"), has_remote=False)
    run.outcomes = {name: Outcome(EndState.RAN, 1.0) for name in "abcd"[:ended]}
    return run


def test_only_pending_steps_get_ready_and_only_near_the_end(tmp_path: Path, loaded: list[str]) -> None:
    """An import beside a training takes its cores, and one that no step needs takes memory for nothing."""
    early, late = _run(tmp_path, ended=1), _run(tmp_path, ended=2)

    get_ready(early)
    get_ready(late)

    assert early.ready is None
    assert late.ready is not None
    late.ready.join(10)
    assert loaded == ["broken"]


def test_a_step_that_cannot_get_ready_still_gets_its_turn(tmp_path: Path, loaded: list[str]) -> None:
    """What went wrong while nobody looked is met again by the step itself, which can tell it."""
    run = _run(tmp_path, ended=4)
    get_ready(run)

    outcome = steps.STEPS[0].take(run, print)

    assert outcome.state is EndState.RAN
    assert loaded == ["broken"]


def test_without_tracking_no_step_needs_mlflow(tmp_path: Path) -> None:
    """HEADRACE_TRACKING=false is what the message about a dead server offers."""
    (tmp_path / "params.yaml").write_text("evaluate: {}\nregister: {}\npromote: {}\n")
    names = {}
    for tracking in (True, False):
        run = Run(Settings(project=tmp_path, tracking=tracking), Launcher(tmp_path), Terminal(quiet=True), token="t")
        names[tracking] = [step.name for step in steps.steps_of(run)]

    assert names == {True: ["record", "register", "promote", "report"], False: ["report"]}
