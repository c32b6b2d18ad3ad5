"""A stage on another machine: `meta: {pool: gpu}` in dvc.yaml.

Here: the code goes to the git remote as a commit that no branch has, what the stage reads goes to the DVC remote, a run of the
deployment `stage/<pool>` is started and followed, and its result is taken from the run-cache of the remote, like any other that
somebody has computed before. There, `pipelines/stage.py`: the commit is checked out, what the stage reads is pulled, the stage works,
its result is pushed. The two machines share nothing but the two remotes and the Prefect server.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.errors import ConfigError, EngineError, StageFailed
from headrace.flow.launcher import Stage
from headrace.flow.run import EndState, Outcome, Run, open_run
from headrace.project.setup import ensure_set_up
from headrace.settings import Settings
from headrace.state.git import Repository

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FLOW = "stage"
REFS = "refs/headrace/stages"
LOOK_EVERY_S = 2.0
LOG_PAGE = 200


def send(run: Run, stage: Stage, pool: str, log: Callable[[str], None]) -> EndState:
    """Have a worker of the pool bring one stage up to date, and take over its result.

    Args:
        run: at work here.
        stage: whose parents are up to date here.
        pool: work pool of the Prefect server.
        log: receives what the stage prints there, line by line.

    Returns:
        `restored` when the run-cache had the result, else how the stage ended there.

    Raises:
        ConfigError: there is no remote, no git remote or no deployment for the pool.
        StageFailed: it failed there, or its run was cancelled or lost.
        EngineError: a remote refused what it was sent, or does not have the result.
    """
    if stage.name not in run.forced and _restore(run, stage):
        return EndState.RESTORED
    if not run.plan.has_remote:
        raise ConfigError(
            f"{stage.name} is to run on pool '{pool}' (meta: pool in dvc.yaml), which reaches data through a remote only: "
            "headrace remote add s3://bucket/prefix"
        )
    if inputs := _inputs(run, stage):
        _ask(run, "push", f"sending what {stage.name} reads", targets=inputs, run_cache=False)
    repository = Repository(run.settings.project)
    ref = f"{REFS}/{run.token}-{stage.name}"
    log(f"sent to pool {pool} as {_publish(repository, run.settings, ref)[:12]}")
    try:
        state = _follow(run, stage, pool, ref, log)
    finally:
        repository.ask("push", "--quiet", "origin", f":{ref}")
    if not _restore(run, stage):
        raise EngineError(
            f"pool '{pool}' reports {stage.name} as {state.value}, and the remote has no result of it. Does its worker use this remote?"
        )
    return state


def receive(settings: Settings, name: str, ref: str, pool: str, log: Callable[[str], None], *, force: bool) -> Outcome:
    """Bring one stage up to date for a run that works elsewhere, and push its result.

    Args:
        settings: of this machine, in a clone of the project.
        name: of the stage.
        ref: of the commit to work on, at the clone's origin.
        pool: that this worker belongs to.
        log: receives what the stage prints.
        force: run it even when its result is known.

    Raises:
        EngineError: the commit cannot be fetched, or the result not pushed.
        StageFailed: the stage failed.
    """
    repository = Repository(settings.project)
    repository.get("fetch", "--quiet", "origin", ref)
    repository.get("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    repository.get(
        "reset", "--quiet", "--soft", "HEAD^"
    )  # lineage names the commit that was worked on, not the parcel it came in
    if settings.local.is_symlink():  # kept for the scheduled runs of this machine, one of which may wait for this very stage
        settings.local.unlink()
    ensure_set_up(settings)
    with open_run(settings) as run:
        run.pool = pool
        run.look(forced=frozenset([name] if force else []))
        stage = next((each for each in run.plan.stages if each.name == name), None)
        if stage is None:
            raise ConfigError(f"dvc.yaml of {ref} has no stage '{name}'.")
        if inputs := _inputs(run, stage):
            _ask(run, "pull", f"fetching what {name} reads", targets=inputs, run_cache=False)
        outcome = run.execute(stage, log)
        _ask(run, "push", f"pushing the result of {name}", targets=[name], run_cache=True)
    return outcome


def _inputs(run: Run, stage: Stage) -> list[str]:
    """What it reads of other stages' outputs; everything else comes with the commit."""
    made = {out for each in run.plan.stages for out in each.outs}
    return [str(dep) for dep in stage.deps if not made.isdisjoint((dep, *dep.parents))]


def _restore(run: Run, stage: Stage) -> bool:
    return bool(_ask(run, "restore", f"looking for a result of {stage.name}", stage=stage.name, pull=run.plan.has_remote))


def _ask(run: Run, operation: str, doing: str, **arguments: Any) -> Any:
    lines: list[str] = []
    answer = run.launcher.perform(operation, lines.append, unless=lambda: run.is_given_up, **arguments)
    if "result" not in answer:
        raise EngineError(f"{doing} failed: {answer.get('error') or ' '.join(lines[-2:]) or 'it was killed'}.")
    return answer["result"]


def _publish(repository: Repository, settings: Settings, ref: str) -> str:
    """Push the working tree, dvc.lock with it, as a commit that no branch has; returns its name."""
    if repository.ask("remote", "get-url", "origin").code:
        raise ConfigError(
            f"{settings.project} has no git remote 'origin', through which a pool gets the code. git remote add origin URL"
        )
    index = {"GIT_INDEX_FILE": str(settings.local / "elsewhere.index")}
    repository.get("read-tree", "HEAD", variables=index)
    repository.get("add", "--all", variables=index)
    tree = repository.get("write-tree", variables=index)
    commit = repository.commit(tree, [repository.get("rev-parse", "HEAD")], "The working tree, for a stage that runs elsewhere")
    repository.get("push", "--quiet", "origin", f"{commit}:{ref}")
    return commit


def _follow(run: Run, stage: Stage, pool: str, ref: str, log: Callable[[str], None]) -> EndState:
    from prefect import get_client
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    parameters = {"name": stage.name, "ref": ref, "pool": pool, "force": stage.name in run.forced}
    try:
        begun: Any = run_deployment(f"{FLOW}/{pool}", parameters=parameters, flow_run_name=stage.name, timeout=0)
    except ObjectNotFound:
        raise ConfigError(
            f"the Prefect server has no deployment {FLOW}/{pool}, which {stage.name} is to run as (meta: pool in dvc.yaml). Give "
            "infra/prefect.yaml one of that name, then `headrace deploy`; docs/how-to/run-a-stage-elsewhere.md has the lines."
        ) from None
    with get_client(sync_client=True) as client:
        seen = 0
        while True:
            now = client.read_flow_run(begun.id)
            seen += _hand_over(client, begun.id, seen, log)
            if now.state is not None and now.state.is_final():
                return _ended(now, stage, pool)
            if run.is_given_up or run.launcher.is_ended:
                _cancel(client, begun.id)
                raise StageFailed(f"cancelled, also on pool '{pool}'")
            time.sleep(LOOK_EVERY_S)


def _hand_over(client: "SyncPrefectClient", flow_run: UUID, seen: int, log: Callable[[str], None]) -> int:
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run]))
    found = client.read_logs(wanted, limit=LOG_PAGE, offset=seen)
    for line in found:
        if (
            line.name == "prefect.flow_runs" and line.level == logging.INFO
        ):  # not the worker's lines, nor the stacks of Prefect's engine
            log(line.message)
    return len(found)


def _ended(now: "FlowRun", stage: Stage, pool: str) -> EndState:
    state = now.state
    assert state is not None  # noqa: S101  # it has just been found to be final
    if state.is_completed():
        return EndState(str(state.name).lower())
    said = (state.message or "without a word").removeprefix(f"stage {stage.name} failed").lstrip(": ")
    raise StageFailed(f"on pool '{pool}', run {now.id}, {state.name}: {said}")


def _cancel(client: "SyncPrefectClient", flow_run: UUID) -> None:
    from prefect.states import Cancelling

    client.set_flow_run_state(flow_run, Cancelling())
