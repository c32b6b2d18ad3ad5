"""Find runs whose process is gone, say so, and start each of them once more. Run by the deployment `sweep`.

The automations of `guards.py` see a silence as it happens. This covers what they cannot: events that were lost while the server was
down, and the second try.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter

from headrace.flow.deployments import TAG
from headrace.flow.guards import HEARTBEAT, SILENT_TIMES
from headrace.flow.manifest import DEFAULT_HEARTBEAT_S
from headrace.flow.manifest import HEARTBEAT as HEARTBEAT_VARIABLE
from headrace.flow.notices import Notice, send
from headrace.settings import Settings, load_settings

AGAIN = "again"
"""Tag of a run that was started in place of a crashed one; it is not followed by a third."""
LOOK_BACK = timedelta(hours=6)
"""A crash longer ago is history: starting it now would surprise."""
LIVING = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


@dataclass(frozen=True)
class Seen:
    """What the server knows of one run."""

    run: FlowRun
    last_sign: datetime
    """Of life: its last change of state or heartbeat, whichever came later. The server's clock, like `now`."""
    heartbeat_s: int


def verdict(seen: Seen, now: datetime) -> State[Any] | None:
    """The state that a run without a live process belongs in; None for one that may live."""
    silent_for = now - seen.last_sign
    state = seen.run.state
    if state is None or silent_for <= timedelta(seconds=SILENT_TIMES * seen.heartbeat_s):
        return None
    told = f"no sign of life for {silent_for.total_seconds():.0f} s: its machine or process is gone"
    if state.type is StateType.CANCELLING:
        return State(type=StateType.CANCELLED, name="Cancelled", message=f"Cancelled, and {told}.")
    return State(type=StateType.CRASHED, name="Crashed", message=f"{state.name}, and {told}.")


def is_due_again(run: FlowRun, now: datetime) -> bool:
    """Whether a crashed run is to be started once more."""
    state = run.state
    return (
        state is not None
        and state.type is StateType.CRASHED
        and AGAIN not in run.tags
        and run.deployment_id is not None
        and run.parent_task_run_id is None
        and now - state.timestamp <= LOOK_BACK
    )


@flow(name="sweep", persist_result=False)
def sweep() -> dict[str, int]:
    """Look at every run of Headrace's deployments that should be alive or has just crashed; returns counts."""
    with get_client(sync_client=True) as client:
        return look_after(client, load_settings(), tag=TAG, say=get_run_logger().warning)


def look_after(client: SyncPrefectClient, settings: Settings, *, tag: str, say: Callable[[str], Any]) -> dict[str, int]:
    """What `sweep` does, for all runs with a tag."""
    counts = {"gone": 0, "started again": 0}
    now = server_time(client)
    for seen in [_look(client, run) for run in _runs(client, tag, LIVING)]:
        if (state := verdict(seen, now)) is not None:
            client.set_flow_run_state(seen.run.id, state, force=True)
            counts["gone"] += 1
            say(f"{seen.run.name}: {state.message}")
    for run in _runs(client, tag, (StateType.CRASHED,)):
        second = start_again(client, run) if is_due_again(run, now) else None
        if second is not None:
            counts["started again"] += 1
            why = (run.state.message if run.state else "") or "it crashed"
            say(f"{run.name} crashed; started once more as {second.name}")
            notice = Notice(
                flow="run",
                subject=run.name,
                happened="crashed",
                reason=f"{why} Started once more as {second.name}.",
                look=f"headrace runs {run.id}",
            )
            send(settings, notice, say=say)
    return counts


def start_again(client: SyncPrefectClient, run: FlowRun) -> FlowRun | None:
    """A second run in place of a crashed one; None when there is one already, by whichever sweep."""
    if run.deployment_id is None:
        return None
    key = f"{AGAIN} {run.id}"
    known = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key]))
    if client.read_flow_runs(flow_run_filter=known, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1):
        return None
    # Of two sweeps at once the server makes one run: the key is unique there.
    return client.create_flow_run_from_deployment(
        run.deployment_id, parameters=run.parameters, tags=[*run.tags, AGAIN], idempotency_key=key
    )


def server_time(client: SyncPrefectClient) -> datetime:
    """The server's clock: that of a worker may be off, and would call every live run silent."""
    answer = client._client.get("/health")  # noqa: SLF001  # the client hands on no headers
    return parsedate_to_datetime(answer.headers["date"])


def _runs(client: SyncPrefectClient, tag: str, types: Iterable[StateType]) -> list[FlowRun]:
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))
    )
    return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)


def _look(client: SyncPrefectClient, run: FlowRun) -> Seen:
    signs = [run.state.timestamp] if run.state else []
    wanted = EventFilter.model_validate(
        {"event": {"name": [HEARTBEAT]}, "resource": {"id": [f"prefect.flow-run.{run.id}"]}, "order": "DESC"}
    )
    # `received` is the server's clock; `occurred` that of a machine which may be an hour off.
    signs += [event.received for event in client.read_events(filter=wanted, limit=1).events]
    variables = (run.job_variables or {}).get("env", {})
    if run.deployment_id and HEARTBEAT_VARIABLE not in variables:
        variables = client.read_deployment(run.deployment_id).job_variables.get("env", {})
    return Seen(run, max(signs), int(variables.get(HEARTBEAT_VARIABLE, DEFAULT_HEARTBEAT_S)))
