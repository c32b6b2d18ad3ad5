"""Automations of the Prefect server that end what nobody works on any more: they need no worker to be alive.

A run whose machine is gone is told by its silence. The server sees that by itself, says Crashed, which frees the place of the next run,
and has `sweep` started, which looks at the rest and starts the run once more.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import AutomationSort
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "TimedOut")}
BEGINS = {f"prefect.flow-run.{state}" for state in ("Running", "Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Late")}
SILENT_TIMES = 2
"""A run is silent for so many heartbeats before it counts as gone."""
NAMES = ("headrace: silent", "headrace: never began", "headrace: not cancelled", "headrace: sweep after a crash")


@dataclass(frozen=True)
class GuardChange:
    """What became of one automation."""

    name: str
    state: str


def guards(*, tag: str, heartbeat_s: int, sweep: UUID | None) -> list[AutomationCore]:
    """The automations, for all runs with a tag.

    Args:
        tag: of the deployments' runs.
        heartbeat_s: between two signs of life of a run.
        sweep: deployment that is run after a crash.
    """
    limit = timedelta(seconds=SILENT_TIMES * heartbeat_s)
    every: dict[str, Any] = {
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"},
        "for_each": {"prefect.resource.id"},
        "threshold": 1,
    }
    silent = EventTrigger(
        after={HEARTBEAT, "prefect.flow-run.Running"}, expect={HEARTBEAT, *ENDS}, posture=Posture.Proactive, within=limit, **every
    )
    stuck = EventTrigger(
        after={"prefect.flow-run.Pending", "prefect.flow-run.Submitting"},
        expect={*BEGINS, *ENDS},
        posture=Posture.Proactive,
        within=limit,
        **every,
    )
    hanging = EventTrigger(
        after={"prefect.flow-run.Cancelling"}, expect=ENDS - {"prefect.flow-run.Cancelling"}, posture=Posture.Proactive,
        within=limit, **every,
    )  # fmt: skip
    seconds = int(limit.total_seconds())

    def crash(why: str) -> ChangeFlowRunState:
        return ChangeFlowRunState(name=None, state=StateType.CRASHED, message=why, force=False)

    gone = crash(f"No sign of life for {seconds} s: its machine or process is gone.")
    never = crash(f"Not begun {seconds} s after a worker took it.")
    over = f"Nobody ended it within {seconds} s: its machine is gone."
    cancelled = ChangeFlowRunState(name=None, state=StateType.CANCELLED, message=over, force=False)
    found = [
        _guard(NAMES[0], "A run without a sign of life has crashed.", silent, gone),
        _guard(NAMES[1], "A run that a worker took and never began has crashed.", stuck, never),
        _guard(NAMES[2], "A cancelled run whose worker is gone is over.", hanging, cancelled),
    ]
    if sweep is not None:
        crashed = EventTrigger(expect={"prefect.flow-run.Crashed"}, posture=Posture.Reactive, within=timedelta(0), **every)
        start = RunDeployment.model_validate({"deployment_id": sweep})
        found.append(_guard(NAMES[3], "A crashed run is started once more.", crashed, start))
    return found


def install_guards(
    client: SyncPrefectClient, *, tag: str, heartbeat_s: int, sweep: UUID | None, dry_run: bool = False
) -> list[GuardChange]:
    """Create or replace the automations that differ from those on the server."""
    if not heartbeat_s:
        return []
    # Prefect's own default for both arguments is one that its server refuses.
    there = {each.name: each for each in client.read_automations(sort=AutomationSort.NAME_ASC, limit=200)}
    changes = []
    for wanted in guards(tag=tag, heartbeat_s=heartbeat_s, sweep=sweep):
        found = there.get(wanted.name)
        state = "created" if found is None else "unchanged" if _same(found, wanted) else "changed"
        if not dry_run and found is None:
            client.create_automation(wanted)
        elif not dry_run and found is not None and state == "changed":
            client.update_automation(found.id, wanted.model_copy(update={"enabled": found.enabled}))
        changes.append(GuardChange(wanted.name, state))
    return changes


def _guard(name: str, description: str, trigger: EventTrigger, action: Any) -> AutomationCore:
    return AutomationCore(name=name, description=description, enabled=True, trigger=trigger, actions=[action])


def _same(there: AutomationCore, wanted: AutomationCore) -> bool:
    """Whether they do the same; one that was switched off in the UI stays off."""

    def essence(automation: AutomationCore) -> Any:
        return automation.model_dump(mode="json", include={"description", "trigger", "actions"})

    return bool(_sorted(essence(there)) == _sorted(essence(wanted)))


def _sorted(value: Any) -> Any:
    """Sets come as lists in any order, and the server adds ids."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in sorted(value.items()) if key != "id" and each is not None}
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=repr)
    return value
