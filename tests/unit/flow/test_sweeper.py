"""Which runs count as gone, and which are started once more."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from headrace.flow.sweeper import AGAIN, Seen, is_due_again, verdict

NOW = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


def seen(kind: StateType, *, silent_s: float, heartbeat_s: int = 30) -> Seen:
    """A run that gave its last sign of life so many seconds ago."""
    return Seen(run(kind), NOW - timedelta(seconds=silent_s), heartbeat_s)


def run(kind: StateType, *, age: timedelta = timedelta(minutes=5), **values: Any) -> FlowRun:
    """A run of a deployment."""
    state: State[Any] = State(type=kind, timestamp=NOW - age)
    return FlowRun(**{"flow_id": uuid4(), "deployment_id": uuid4(), "name": "quiet-fox", "state": state, **values})


@pytest.mark.fault
@pytest.mark.parametrize("kind", [StateType.PENDING, StateType.RUNNING])
def test_a_run_silent_for_two_heartbeats_has_crashed(kind: StateType) -> None:
    """Its place is taken until somebody says so: the next night would not run."""
    found = verdict(seen(kind, silent_s=61), NOW)

    assert found is not None
    assert found.type is StateType.CRASHED
    assert "no sign of life for 61 s" in (found.message or "")


@pytest.mark.fault
def test_a_cancelled_run_whose_worker_is_gone_is_cancelled() -> None:
    """Nobody is there who could end it, and nothing is there to be ended."""
    found = verdict(seen(StateType.CANCELLING, silent_s=61), NOW)

    assert found is not None
    assert found.type is StateType.CANCELLED


@pytest.mark.parametrize(("silent_s", "heartbeat_s"), [(59, 30), (300, 180)])
def test_a_run_that_may_live_is_left_alone(silent_s: float, heartbeat_s: int) -> None:
    """Calling a live one dead starts a second beside it."""
    assert verdict(seen(StateType.RUNNING, silent_s=silent_s, heartbeat_s=heartbeat_s), NOW) is None


def test_a_crashed_run_is_due_again_once() -> None:
    """A run that crashes by itself would otherwise crash for ever."""
    assert is_due_again(run(StateType.CRASHED), NOW)
    assert not is_due_again(run(StateType.CRASHED, tags=[AGAIN]), NOW)


@pytest.mark.parametrize(
    "other",
    [
        run(StateType.FAILED),
        run(StateType.CRASHED, age=timedelta(days=1)),
        run(StateType.CRASHED, deployment_id=None),
        run(StateType.CRASHED, parent_task_run_id=uuid4()),
    ],
    ids=["failed", "yesterday", "by hand", "part of another"],
)
def test_nothing_else_is_started_again(other: FlowRun) -> None:
    """A failure has a reason that a second try does not mend; the rest is not ours to start."""
    assert not is_due_again(other, NOW)
