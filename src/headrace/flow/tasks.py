"""Prefect's side of a run: stages and steps as tasks. Imported by pipelines/ only, after it is known that there is work to do."""

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from headrace.errors import StageFailed
from headrace.flow.artifacts import shown
from headrace.flow.launcher import Stage
from headrace.flow.run import Outcome, Run
from headrace.flow.steps import Step, get_ready
from headrace.settings import PREFECT_RUN
from headrace.variables import set_variable


@task(cache_policy=NO_CACHE, persist_result=False, log_prints=False)
def _run_stage(run: Run, stage: Stage) -> State[Any]:
    logger = get_run_logger()
    get_ready(run)
    try:
        outcome = run.execute(stage, logger.info)
    except StageFailed as error:
        shown(run).stage(stage, error=str(error))
        raise
    shown(run).stage(stage)
    return _completed(outcome, stage.name)


def stage_task(run: Run, stage: Stage) -> Any:
    """The task of one stage: its name, and retries from `meta:`; a failure that a second try cannot mend is not tried again.

    The time limit is not the task's: Prefect cannot interrupt a call that blocks in a thread, so the process group is killed instead.
    """
    set_variable(PREFECT_RUN, str(flow_run.id or ""))  # a trained candidate's MLflow run names the flow run that made it
    return _run_stage.with_options(
        name=stage.name,
        task_run_name=stage.name,
        retries=stage.retries,
        retry_delay_seconds=float(stage.meta.get("retry_delay_s", 2)),
        retry_condition_fn=lambda task, task_run, state: not run.is_permanent(stage.name),  # noqa: ARG005  # Prefect calls by position
    )


@task(cache_policy=NO_CACHE, persist_result=False, log_prints=False)
def _run_step(run: Run, step: Step) -> State[Any]:
    logger = get_run_logger()
    outcome = step.take(run, logger.info)
    return _completed(outcome, step.name)


def step_task(step: Step) -> Any:
    """The task of one step after the DAG."""
    return _run_step.with_options(name=step.name, task_run_name=step.name)


def _completed(outcome: Outcome, name: str) -> State[Any]:
    # The state's name is what the Prefect UI shows: ran, restored and unchanged stay apart there.
    return Completed(name=outcome.state.value.capitalize(), message=outcome.headline or f"{name} {outcome.state.value}")
