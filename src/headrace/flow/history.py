"""What the Prefect server knows of the project's runs: the latest ones, and one of them with its stages and the end of its log."""

import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterStartTime,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort, LogSort, TaskRunSort
from prefect.exceptions import ObjectNotFound

from headrace.errors import ConfigError
from headrace.flow.deployments import OWNER, answered
from headrace.settings import Settings, project_name
from headrace.tracking.secrets import strip_secrets

LOG_LINES = 30


def recent(settings: Settings, *, limit: int) -> list[dict[str, Any]]:
    """The project's latest runs that have begun, newest first, after those that are due next."""
    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[OWNER + project_name(settings.project)]))
    with _client(settings) as client:
        begun = FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False))
        runs = client.read_flow_runs(deployment_filter=mine, flow_run_filter=begun, sort=FlowRunSort.START_TIME_DESC, limit=limit)
        names = {
            each.id: each.name
            for each in client.read_deployments(deployment_filter=mine, limit=200, sort=DeploymentSort.NAME_ASC)
        }
        return [_row(run, names) for run in runs]


def one(settings: Settings, run_id: str) -> dict[str, Any]:
    """One run: state and message, what its stages came to, and the last lines of its log.

    Raises:
        ConfigError: there is no such run.
    """
    try:
        wanted = UUID(run_id)
    except ValueError:
        raise ConfigError(f"{run_id!r} is no id of a run; `headrace runs` lists them.") from None
    with _client(settings) as client:
        try:
            run = client.read_flow_run(wanted)
        except ObjectNotFound:
            raise ConfigError(f"the Prefect server knows no run {run_id}; `headrace runs` lists them.") from None
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[wanted]))
        tasks = client.read_task_runs(flow_run_filter=of_run, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=200)
        logs = client.read_logs(
            LogFilter(flow_run_id=LogFilterFlowRunId(any_=[wanted])), sort=LogSort.TIMESTAMP_DESC, limit=LOG_LINES, offset=0
        )
        return {
            **_row(run, {}),
            "message": run.state.message if run.state else "",
            "stages": [
                {
                    "name": task.name,
                    "state": task.state.name if task.state else "",
                    "message": (task.state.message if task.state else "") or "",
                }
                for task in sorted(tasks, key=lambda task: str(task.start_time or task.expected_start_time))
            ],
            "log": [strip_secrets(line.message) for line in reversed(logs)],
        }


def _row(run: FlowRun, names: dict[Any, str]) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "deployment": names.get(run.deployment_id, ""),
        "name": run.name,
        "state": run.state.name if run.state else "",
        "begun": run.start_time.isoformat(timespec="seconds") if run.start_time else "",
        "seconds": round(run.total_run_time.total_seconds(), 1),
    }


@contextlib.contextmanager
def _client(settings: Settings) -> Iterator[SyncPrefectClient]:
    if settings.prefect_api_url is None:
        raise ConfigError("there is no Prefect server to ask: `headrace up --detach`, or set PREFECT_API_URL.")
    with answered(settings), get_client(sync_client=True) as client:
        yield client
