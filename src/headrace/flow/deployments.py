"""`headrace deploy`: bring the Prefect server to what infra/prefect.yaml says, and touch nothing that agrees already.

Deployments are created and patched through Prefect's client: schedules are found again by their slug, so that runs that are due keep
the schedule's id, which is what keeps Prefect from making them twice.
"""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import DeploymentSort
from prefect.exceptions import MissingFlowError, ObjectNotFound, PrefectHTTPStatusError, ScriptError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from headrace.errors import ConfigError, EngineError
from headrace.flow.guards import GuardChange, install_guards
from headrace.flow.manifest import FILE, Deployment, Schedule, entrypoint_path, read_manifest
from headrace.settings import Settings, git, project_name

TAG = "headrace"
OWNER = "project:"


@dataclass(frozen=True)
class Deployed:
    """What became of one deployment or automation."""

    name: str
    """flow/deployment."""
    state: str
    """created, changed, unchanged, removed or left."""
    changes: tuple[str, ...] = ()


def deploy(settings: Settings, *, dry_run: bool = False, prune: bool = False, say: Callable[[str], Any]) -> list[Deployed]:
    """Compare every stanza with the server, then create or patch what differs.

    Args:
        settings: of the project.
        dry_run: say what differs, change nothing.
        prune: remove deployments of this project that the file has no longer.
        say: takes a line of warning.

    Raises:
        ConfigError: the file is wrong, an entrypoint cannot be imported, or another project owns a deployment of that name.
        EngineError: the server does not answer, or refused.
    """
    wanted = read_manifest(settings)
    flows = {each.name: _load(settings, each) for each in wanted}  # all of them, before anything is changed
    if settings.prefect_api_url is None:
        raise ConfigError("schedules need a Prefect server that stays: `headrace up --detach`, or set PREFECT_API_URL.")
    for each in wanted:
        _warn_unpushed(settings, each, say)
    with answered(settings), get_client(sync_client=True) as client:
        done = []
        ids = {}
        for each in wanted:
            _ensure_pool(client, each.work_pool.name, dry_run=dry_run)
            one, ids[each.name] = _deploy_one(client, settings, each, flows[each.name], dry_run=dry_run)
            done.append(one)
        done += _others(client, settings, {one.name for one in done}, prune=prune, dry_run=dry_run)
        guards = install_guards(
            client,
            tag=TAG,
            heartbeat_s=max((each.heartbeat_s for each in wanted if each.entrypoint != SWEEP), default=0),
            sweep=next((ids[each.name] for each in wanted if each.entrypoint == SWEEP), None),
            dry_run=dry_run,
        )
        return done + [_told(guard) for guard in guards]


SWEEP = "headrace.flow.sweeper.sweep"


def _told(guard: GuardChange) -> Deployed:
    return Deployed(f"automation {guard.name!r}", guard.state)


def _load(settings: Settings, wanted: Deployment) -> Flow[..., Any]:
    path = entrypoint_path(settings, wanted.entrypoint)
    if path is not None and not path.exists():
        raise ConfigError(f"{FILE}: deployment {wanted.name}: {path.relative_to(settings.project)} does not exist.")
    entrypoint = str(settings.project / wanted.entrypoint) if path is not None else wanted.entrypoint
    try:
        with _in_project(settings):
            flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except (ScriptError, MissingFlowError, ImportError, AttributeError) as error:
        raise ConfigError(
            f"{FILE}: deployment {wanted.name}: {wanted.entrypoint} cannot be imported, so its runs would fail: "
            f"{_reason(error)}. Mend it; nothing has been deployed."
        ) from None
    known = parameter_schema(flow).properties
    for name in wanted.parameters:
        if name not in known:
            raise ConfigError(
                f"{FILE}: deployment {wanted.name}: {wanted.entrypoint} has no parameter '{name}'; it has {', '.join(known) or 'none'}."
            )
    return flow


@contextlib.contextmanager
def _in_project(settings: Settings) -> Iterator[None]:
    """As a run finds it: the project is the working directory, from which the flow's module reads its settings."""
    before = os.getcwd()  # noqa: PTH109  # the pair of chdir
    os.chdir(settings.project)
    try:
        yield
    finally:
        os.chdir(before)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "user_exc", None) or error
    text = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    if isinstance(cause, SyntaxError):
        return text
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if "importlib" not in frame.filename]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames and cause is not error else text.rstrip(". ")


def _warn_unpushed(settings: Settings, wanted: Deployment, say: Callable[[str], Any]) -> None:
    """Runs clone what is pushed: say where that is not what stands here."""
    path = entrypoint_path(settings, wanted.entrypoint)
    step = next((step[name] for step in wanted.pull for name in step if name.endswith("git_clone")), None)
    if path is None or step is None:
        return
    branch, name = step.get("branch", "HEAD"), path.relative_to(settings.project).as_posix()
    if git(settings.project, "diff", "--quiet", f"origin/{branch}", "--", name) == "" and not git(
        settings.project, "rev-parse", "--verify", "--quiet", f"origin/{branch}:{name}"
    ):
        say(f"note: {name} is not on origin/{branch} as last fetched; runs of {wanted.name} take their code from there: push it")


def _ensure_pool(client: SyncPrefectClient, name: str, *, dry_run: bool) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        if not dry_run:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))


def _deploy_one(
    client: SyncPrefectClient, settings: Settings, wanted: Deployment, flow: Flow[..., Any], *, dry_run: bool
) -> tuple[Deployed, Any]:
    name = f"{flow.name}/{wanted.name}"
    owner = OWNER + project_name(settings.project)
    values = _values(wanted, flow, owner)
    try:
        there = client.read_deployment_by_name(name)
    except ObjectNotFound:
        if dry_run:
            return Deployed(name, "created"), None
        created = client.create_deployment(
            flow_id=client.create_flow_from_name(flow.name),
            name=wanted.name,
            schedules=[_schedule(each, active=each.active is not False) for each in wanted.schedules],
            **values,
        )
        return Deployed(name, "created"), created
    owners = [tag for tag in there.tags if tag.startswith(OWNER)]
    if owners and owner not in owners:
        raise ConfigError(
            f"the Prefect server has a deployment {name} of another project ({owners[0].removeprefix(OWNER)}). Give this one another "
            f"name in {FILE}."
        )
    changes = _differences(there, values) + _schedule_differences(there, wanted)
    if changes and not dry_run:
        slugs = {each.slug for each in wanted.schedules}
        for schedule in there.schedules:
            if schedule.slug not in slugs:
                client.delete_deployment_schedule(there.id, schedule.id)
        # Even where no schedule has changed: those that have their slug on the server are patched in place, and keep their id.
        active = {each.slug: each.active for each in there.schedules}
        schedules = [
            _schedule(each, active=active.get(each.slug, True) if each.active is None else each.active)
            for each in wanted.schedules
        ]
        client.update_deployment(
            there.id, DeploymentUpdate.model_validate({**values, "schedules": [each.model_dump() for each in schedules]})
        )
    return Deployed(name, "changed" if changes else "unchanged", tuple(changes)), there.id


def _values(wanted: Deployment, flow: Flow[..., Any], owner: str) -> dict[str, Any]:
    limit = wanted.concurrency_limit
    return {
        "entrypoint": wanted.entrypoint,
        "description": wanted.description or flow.description,
        "parameters": wanted.parameters,
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "work_pool_name": wanted.work_pool.name,
        "work_queue_name": wanted.work_pool.work_queue_name or "default",
        "job_variables": wanted.work_pool.job_variables,
        "concurrency_limit": limit.limit,
        "concurrency_options": ConcurrencyOptions.model_validate({"collision_strategy": limit.collision_strategy}),
        "pull_steps": list(wanted.pull),
        # A sweep that crashes must not have another one started.
        "tags": sorted({owner, *wanted.tags, *([] if wanted.entrypoint == SWEEP else [TAG])}),
    }


def _schedule(wanted: Schedule, *, active: bool) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(schedule=_when(wanted), active=active, slug=wanted.slug, parameters=wanted.parameters)


def _when(wanted: Schedule) -> Any:
    if wanted.cron is not None:
        return CronSchedule(cron=wanted.cron, timezone=wanted.timezone)
    return IntervalSchedule.model_validate({"interval": wanted.interval, "timezone": wanted.timezone})


def _differences(there: Any, values: dict[str, Any]) -> list[str]:
    found = {name: getattr(there, name) for name in values}
    found["concurrency_limit"] = there.global_concurrency_limit.limit if there.global_concurrency_limit else None
    found["tags"] = sorted(there.tags)
    options = there.concurrency_options
    found["concurrency_options"] = options.collision_strategy if options else None
    wanted = {**values, "concurrency_options": values["concurrency_options"].collision_strategy}
    return [
        f"{name}: {found[name]!r} -> {value!r}" if name != "parameter_openapi_schema" else "the flow's parameters"
        for name, value in wanted.items()
        if found[name] != value
    ]


def _schedule_differences(there: Any, wanted: Deployment) -> list[str]:
    found = {each.slug: each for each in there.schedules}
    changes = [f"schedule {slug}: removed" for slug in found.keys() - {each.slug for each in wanted.schedules}]
    for each in wanted.schedules:
        if each.slug not in found:
            changes.append(f"schedule {each.slug}: new")
            continue
        now, then = _timing(found[each.slug].schedule), _timing(_when(each))
        if now != then:
            changes.append(f"schedule {each.slug}: {' '.join(now)} -> {' '.join(then)}")
        if each.active is not None and each.active != found[each.slug].active:
            changes.append(f"schedule {each.slug}: {'on' if each.active else 'off'}")
        if each.parameters != (found[each.slug].parameters or {}):
            changes.append(f"schedule {each.slug}: parameters")
    return changes


def _timing(schedule: Any) -> tuple[str, str]:
    every = schedule.cron if isinstance(schedule, CronSchedule) else str(getattr(schedule, "interval", schedule))
    return str(every), str(schedule.timezone)


def _others(client: SyncPrefectClient, settings: Settings, named: set[str], *, prune: bool, dry_run: bool) -> list[Deployed]:
    """Deployments of this project that the file does not name, or no longer."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[OWNER + project_name(settings.project)]))
    found = []
    for each in client.read_deployments(deployment_filter=mine, limit=200, sort=DeploymentSort.NAME_ASC):
        name = f"{client.read_flow(each.flow_id).name}/{each.name}"
        if name in named:
            continue
        if prune and not dry_run:
            client.delete_deployment(each.id)
        found.append(Deployed(name, "removed" if prune else "left"))
    return found


@contextlib.contextmanager
def answered(settings: Settings) -> Iterator[None]:
    """Turn what the server refuses, and its silence, into one sentence. Raises ConfigError or EngineError."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        if code in (401, 403):
            raise ConfigError(
                f"{settings.prefect_api_url} refused the password ({code}). Set PREFECT_API_AUTH_STRING to the server's."
            ) from None
        raise EngineError(f"{settings.prefect_api_url} refused: {code}, {error.response.text[:300]}") from None
    except OSError as error:
        raise EngineError(f"{settings.prefect_api_url} does not answer ({error}). `headrace ps`, `headrace up`.") from None
    except Exception as error:
        if type(error).__module__.startswith(("httpx", "httpcore")):
            raise EngineError(
                f"{settings.prefect_api_url} does not answer ({type(error).__name__}). `headrace ps`, `headrace up`."
            ) from None
        raise
