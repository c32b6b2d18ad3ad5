"""What `headrace run` does around the flow: answer at once when nothing changed, plan, start the flow only when there is work."""

import errno
import gc
import importlib
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import ConfigError, EngineError, HeadraceError, StageFailed
from headrace.flow import freshness
from headrace.flow.ahead import HeadStart
from headrace.flow.launcher import Launcher, Plan
from headrace.flow.run import Run, open_run
from headrace.flow.steps import check_store, pending
from headrace.flow.terminal import Terminal
from headrace.params import did_you_mean
from headrace.project.environment import check_revisions
from headrace.project.preflight import check_params
from headrace.settings import Settings, current_branch
from headrace.variables import set_variable


@dataclass(frozen=True)
class RunResult:
    """What a run came to, for the terminal and for --json."""

    stages: dict[str, str]
    """Stage or step to end state; empty when nothing had to be asked."""
    num_stages: int
    seconds: float
    is_noop: bool
    headlines: dict[str, str] = field(default_factory=dict)


def run_pipeline(
    settings: Settings, terminal: Terminal, *, stages: list[str] | None = None, force: bool = False, flow: str = "train"
) -> RunResult:
    """Bring the project up to date.

    Args:
        settings: of this machine and project.
        terminal: what the person sees.
        stages: only these and what they need, without the steps after the DAG; None: everything.
        force: run the wanted stages (all, when none is named) even when nothing changed.
        flow: name of the module and flow in pipelines/.

    Raises:
        HeadraceError: as the stages and steps raise it.
    """
    started = time.monotonic()
    check_revisions(settings.project)
    context = _context(settings)
    if not stages and not force:
        fresh = freshness.fresh_stages(settings.local, context)
        if fresh is not None:
            return RunResult({}, fresh, time.monotonic() - started, is_noop=True)
    # Prefect takes a second to import, and DVC plans in a process of its own: both at once. No daemon: the interpreter would end it
    # in the middle of somebody's C++, which aborts the process ("FATAL: exception not rethrown").
    warm = threading.Thread(target=_import_prefect)
    check_params(settings.project)
    with open_run(settings, terminal) as run:
        warm.start()
        run.look(forced=frozenset())
        if stages:
            run.plan, run.is_partial = select(run.plan, stages), True
        if force:
            run.forced = frozenset(stages or [stage.name for stage in run.plan.stages])
            run.stale = run.plan.stale(run.forced)
        wanted = {stage.name for stage in run.plan.stages}
        if not wanted & run.stale.keys() and not pending(run):
            result = RunResult(dict.fromkeys(wanted, "unchanged"), len(wanted), time.monotonic() - started, is_noop=True)
        else:
            check_store(run)
            _start_flow(settings, run, flow)
            result = RunResult(
                {name: outcome.state.value for name, outcome in run.outcomes.items()},
                len(wanted),
                time.monotonic() - started,
                is_noop=False,
                headlines={name: outcome.headline for name, outcome in run.outcomes.items()},
            )
        if not run.is_partial:
            outs = [settings.project / "dvc.lock", *(out for stage in run.plan.stages for out in stage.outs)]
            freshness.remember(
                settings.local, inputs=run.source_marks, outputs=outs, context=_context(settings), stages=len(wanted)
            )
    warm.join()  # the process waits for it in any case, and an import meets half of an interpreter that has begun to end
    return result


def plan_only(settings: Settings) -> Plan:
    """What would run and why; changes nothing and takes no workspace. Raises ParamsError when params.yaml cannot be right."""
    check_revisions(settings.project)
    check_params(settings.project)
    with Launcher(settings.project) as launcher:
        return launcher.plan()


def select(plan: Plan, wanted: list[str]) -> Plan:
    """The part of a plan that `wanted` stages need; all of it when none is named. Raises ConfigError for an unknown name."""
    if not wanted:
        return plan
    stages = {stage.name: stage for stage in plan.stages}
    for name in wanted:
        if name not in stages:
            raise ConfigError(f"dvc.yaml has no stage '{name}'.{did_you_mean(name, stages)}")
    kept, waiting = set[str](), list(wanted)
    while waiting:
        name = waiting.pop()
        kept.add(name)
        waiting += stages[name].parents
    return Plan(tuple(stage for stage in plan.stages if stage.name in kept), plan.has_remote)


def _import_prefect() -> None:
    gc.disable()  # an import makes objects that stay: looking for cycles among them is a sixth of its time
    try:
        importlib.import_module("prefect")
    finally:
        gc.enable()


def _start_flow(settings: Settings, run: Run, name: str) -> None:
    sys.path.insert(0, str(settings.project))
    if not (settings.project / "pipelines" / f"{name}.py").exists():
        raise ConfigError(f"{settings.project} has no pipelines/{name}.py: the flow that runs the DAG.")
    # Block types are of no use to a server that lives for one run, and cost it 2.5 s in a fresh database.
    set_variable("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", "false")
    ahead = run.begin_ahead()
    try:
        flow: Any = getattr(importlib.import_module(f"pipelines.{name}"), name)
        flow(force=sorted(run.forced) or None)
    except HeadraceError:
        raise
    except Exception as error:
        if "KeyboardInterrupt" in str(error):  # a Ctrl-C that met compiled code, such as pydantic's, which wraps it
            raise KeyboardInterrupt from error
        if (
            isinstance(error, OSError) and error.errno == errno.ENOSPC
        ):  # our own logs and marks, beside a stage that fills the disk
            raise EngineError(
                f"the disk of {settings.project} is full. Free space and run again: what is done is kept."
            ) from error
        failed = any(outcome.state.value == "failed" for outcome in run.outcomes.values())
        if failed and not ahead.is_open:
            raise StageFailed(str(error)) from error
        raise EngineError(_without_prefect(settings, run, ahead, error)) from error
    finally:
        if ahead.is_open:  # the flow never came: Ctrl-C, or no Prefect
            run.give_up()
            ahead.wait()


def _without_prefect(settings: Settings, run: Run, ahead: HeadStart, error: Exception) -> str:
    where = settings.prefect_api_url or "its temporary server"
    check = "Check PREFECT_API_URL, or unset it to use the temporary server"
    if settings.prefect_api_url and settings.prefect_api_url == settings.service_variables.get("PREFECT_API_URL"):
        check = "`headrace up` starts it again, after `headrace down` its temporary server is used"
    if getattr(getattr(error, "response", None), "status_code", 0) >= 500:  # it is there, and cannot: its disk is full
        check = "The server's log says why (`headrace logs prefect`, if it is the project's own)"
    text = (
        f"Prefect failed at {where}: {' '.join(str(error).split())[:300]}. {check}; `dvc repro` runs the stages without Prefect."
    )
    kept = [name for name, outcome in run.outcomes.items() if outcome.state.value in ("ran", "restored")]
    if kept:
        text += f" What had been done meanwhile is kept: {', '.join(kept)}."
    return "\n".join([text, *(str(failure) for failure in ahead.failures())])


def _context(settings: Settings) -> dict[str, Any]:
    """What else than files decides whether there is work."""
    return {
        "store": settings.tracking_uri,
        "tracking": settings.tracking,
        "experiment": settings.experiment if (settings.project / "params.yaml").exists() else "",
        "branch": current_branch(settings.project) if settings.is_shared_registry else "",
        "project": str(settings.project),
    }
