"""The main flow: bring every stage of dvc.yaml up to date, parents first, then register, promote, report and push.

`headrace run` is what a person types; `python pipelines/train.py` does the same as a plain script.
"""

from typing import Any

from headrace.flow.run import open_run
from headrace.flow.steps import steps_of
from headrace.flow.tasks import stage_task, step_task
from headrace.settings import load_settings, prepare_process
from prefect import flow
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

SETTINGS = load_settings()
RUNNER: Any = ThreadPoolTaskRunner(max_workers=SETTINGS.max_stages)  # Any: prefect's own annotations disagree here


@flow(name="train", task_runner=RUNNER, persist_result=False)
def train(force: list[str] | None = None) -> dict[str, str]:
    """Run the DAG as dvc.yaml has it; knows no stage by name.

    Args:
        force: stages to run even when nothing they depend on has changed.

    Returns:
        How each stage and step ended: ran, restored or unchanged.
    """
    with open_run(SETTINGS) as run:
        run.look(forced=frozenset(force or ()))
        done: dict[str, PrefectFuture[Any]] = {}
        try:
            for stage in run.plan.stages:  # parents before children
                done[stage.name] = stage_task(run, stage).submit(run, stage, wait_for=[done[p] for p in stage.parents])
            wait(list(done.values()))
            for future in done.values():
                future.result()  # a failed stage fails the flow
            for step in steps_of(run):
                step_task(step)(run, step)
        except BaseException:
            run.launcher.end_all()  # cancelled or failed: nothing goes on working behind our back
            raise
        return {name: outcome.state.value for name, outcome in run.outcomes.items()}


if __name__ == "__main__":
    prepare_process(SETTINGS)
    train()
