"""What a run of this project says about itself, read from its files, and the tracker that a stage listens with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.fingerprint import file_sha256
from headrace.params import read_yaml
from headrace.settings import Settings, git, variable
from headrace.tracking.facts import InputFact, RunFacts
from headrace.tracking.runs import Store
from headrace.tracking.tracker import MlflowTracker

PREFECT_RUN = "HEADRACE_PREFECT_RUN"
"""Set by the flow for the stages it starts: id of its own run."""

OWN_CHANGES = frozenset({"dvc.lock", "params.yaml", "data/sources.lock"})
"""Tracked files that differ in ordinary work and are recorded with the run: their change does not make a workspace dirty."""


def live_tracker(settings: Settings, *, say: Callable[[str], None]) -> MlflowTracker:
    """The tracker of the stage that trains."""
    return MlflowTracker(project_store(settings), project_facts(settings), spool=spool_folder(settings), say=say)


def spool_folder(settings: Settings) -> Path:
    """Where metrics wait for a server that is away."""
    return settings.local / "spool"


def project_store(settings: Settings) -> Store:
    """The project's MLflow store; artifacts of a database file lie beside it, a server has its own place."""
    own = settings.tracking_uri.startswith("sqlite:")
    return Store(settings.tracking_uri, settings.experiment, str(settings.artifact_root) if own else None)


def project_facts(settings: Settings, *, stage: str = "train") -> RunFacts:
    """Facts of a run of `stage`: params, inputs by their DVC digests, commit, environment.

    Args:
        settings: of the project.
        stage: whose deps are the inputs.
    """
    root = settings.project
    environment = root / "environment.json"
    return RunFacts(
        params=_yaml(root / "params.yaml"),
        inputs=dvc_inputs(root, stage),
        commit=git(root, "rev-parse", "HEAD"),
        branch=git(root, "rev-parse", "--abbrev-ref", "HEAD"),
        is_dirty=bool(changed_files(root)),
        environment=file_sha256(environment) if environment.exists() else "",
        prefect_run=variable(PREFECT_RUN),
    )


def changed_files(project: Path) -> list[str]:
    """Tracked files of the project that differ from the commit, beside those that ordinary work changes."""
    names = git(project, "diff", "--name-only", "--relative", "HEAD").splitlines()
    return [name for name in names if name not in OWN_CHANGES]


def diff(project: Path) -> str:
    """The change of a dirty workspace, for a run's artifacts; '' when it is clean."""
    names = changed_files(project)
    return git(project, "diff", "--relative", "HEAD", "--", *names) + "\n" if names else ""


def dvc_inputs(project: Path, stage: str) -> tuple[InputFact, ...]:
    """Data that a stage reads: those of its deps that are outputs of other stages, with their digests in dvc.lock.

    Its own entry in dvc.lock cannot be used: while the stage works it still is that of the run before.
    """
    deps = _yaml(project / "dvc.yaml").get("stages", {}).get(stage, {}).get("deps", [])
    locked = _yaml(project / "dvc.lock").get("stages", {})
    digests = {out["path"]: str(out.get("md5", "")) for entry in locked.values() for out in entry.get("outs", [])}
    return tuple(InputFact(dep, digests[dep], dep) for dep in deps if isinstance(dep, str) and dep in digests)


def _yaml(path: Path) -> Mapping[str, Any]:
    return read_yaml(path) if path.exists() else {}
