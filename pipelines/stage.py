"""One stage for a run on another machine: what a worker of a pool does for a stage with `meta: {pool: ...}` in dvc.yaml."""

import logging
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from headrace.flow.elsewhere import receive
from headrace.settings import load_settings, prepare_process

SETTINGS = load_settings()


@flow(name="stage", persist_result=False)
def stage(name: str, ref: str, pool: str, *, force: bool = False) -> State[Any]:
    """Bring one stage up to date and push its result; started by the flow that needs it, never by hand.

    Args:
        name: of the stage.
        ref: of the commit to work on, at the git remote.
        pool: that this worker belongs to.
        force: run it even when its result is known.
    """
    prepare_process(SETTINGS)
    try:
        outcome = receive(SETTINGS, name, ref, pool, get_run_logger().info, force=force)
    except HeadraceError as error:
        return Failed(message=str(error))  # raised, it would reach the other machine with Prefect's own stack
    finally:
        # Lines are sent every two seconds, and the other machine stops listening when it sees this run's end.
        for handler in logging.getLogger("prefect.flow_runs").handlers:
            handler.flush()
    return Completed(name=outcome.state.value.capitalize(), message=outcome.headline or f"{name} {outcome.state.value}")
