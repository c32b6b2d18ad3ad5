"""Facts of this project for a run, and the tracker that a training gets from the runner."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from headrace.dagfile import locked_deps, locked_outs, read_stanzas
from headrace.fingerprint import file_sha256, value_sha256
from headrace.params import read_yaml
from headrace.settings import PREFECT_RUN, Settings, current_branch, git
from headrace.tracking.facts import InputFact, RunFacts
from headrace.tracking.runs import Store
from headrace.tracking.tracker import MlflowTracker
from headrace.variables import variable

VOLATILE = ("dvc.lock", "params.yaml", "data/sources.lock", "docs/log.md")
"""Tracked files that differ without making a run dirty: each run stores them."""

TRAINING_STAGE, VALIDATING_STAGE = "train", "validate"

SUITES = "expectations/"

PATIENCE_S = 15.0
"""Live metrics begin after this: a shorter training is over before anybody could look at it."""


def store_of(settings: Settings) -> Store:
    """Where the project's runs are recorded."""
    is_own = settings.mlflow_tracking_uri is None
    return Store(
        settings.tracking_uri, settings.experiment, artifact_location=settings.artifact_root.as_uri() if is_own else None
    )


def gather_facts(settings: Settings) -> RunFacts:
    """What a run of this project carries: params of all stages, inputs with DVC's digests, commit, environment."""
    project = settings.project
    stanza = read_stanzas(project).get(TRAINING_STAGE)
    digests = locked_outs(project)
    inputs = tuple(
        InputFact(name=dep, digest=digests[dep], source=dep) for dep in (stanza.deps if stanza else ()) if dep in digests
    )
    environment = project / "environment.json"
    return RunFacts(
        params=read_yaml(project / "params.yaml"),
        inputs=inputs,
        commit=git(project, "rev-parse", "HEAD"),
        branch=current_branch(project),
        is_dirty=bool(changes(project)),
        environment=file_sha256(environment) if environment.exists() else "",
        prefect_run=variable(PREFECT_RUN),
    )


def lock_facts(project: Path) -> dict[str, str]:
    """Tags of a finished training: the digest of each of its dependencies in dvc.lock, and of the suite its data passed.

    To be asked after the DAG: while a stage works, its own entry in dvc.lock is that of the run before.
    """
    found = {f"dep.{path}": digest for path, digest in locked_deps(project, TRAINING_STAGE).items()}
    suites = {path: file_sha256(project / path) for path in suite_files(project)}
    if suites:
        found["suite"] = next(iter(suites.values())) if len(suites) == 1 else value_sha256(suites)
    return found


def suite_files(project: Path) -> list[str]:
    """The expectation suites that the data were validated with, as dvc.lock names them."""
    deps = locked_deps(project, VALIDATING_STAGE)
    return sorted(path for path in deps if path.startswith(SUITES) and (project / path).is_file())


def machine_class(device: str) -> str:
    """What must be equal for two trainings to give equal bits, as text; '' in a process that computes without torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    threads = torch.get_num_threads()
    parts = [device, f"torch {torch.__version__}", torch.backends.cpu.get_cpu_capability(), f"{threads} threads"]
    if device == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return ", ".join(parts)


def changes(project: Path) -> str:
    """The diff of tracked files that makes a run dirty, '' when there is none."""
    # As it is: without the white space at its end, git takes a diff for corrupt.
    command = ["git", "diff", "--binary", "--no-ext-diff", "HEAD", "--", ".", *(f":(exclude){name}" for name in VOLATILE)]
    try:
        done = subprocess.run(command, cwd=project, capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def live_tracker(settings: Settings, *, say: Callable[[str], None]) -> MlflowTracker:
    """The tracker of a training in this project; MLflow is imported in its own thread."""
    return MlflowTracker(
        store_of(settings),
        replace(gather_facts(settings), extra={"machine": machine_class(settings.device)}),
        spool=settings.local / "spool",
        say=say,
        patience_s=PATIENCE_S,
        is_followed=bool(variable("HEADRACE_RUN")),  # the flow's `record` step replays the spool
    )
