"""A project as it was when a run was recorded: a temporary git worktree with the recorded files, and state of its own.

It shares nothing that is written to: its DVC cache, scratch folder, run-cache and MLflow store are its own and go with it. So no
checkpoint of the training that is repeated can be resumed, and neither registry nor the user's workspace is touched.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError
from headrace.lineage.code import CHANGES, git
from headrace.lineage.evidence import Evidence
from headrace.processes import ProcessId
from headrace.settings import Settings, environment_bin
from headrace.storage.dvc_config import with_values
from headrace.storage.dvc_remote import client_variables
from headrace.variables import child_environment

OWNER = "owner.json"


@dataclass(frozen=True)
class Worktree:
    """A temporary copy of the project."""

    project: Path
    home: Path
    environment: dict[str, str]
    """Variables of whatever runs in it."""

    @property
    def cache(self) -> Path:
        """Its DVC cache."""
        return self.home / "dvc-cache"

    def evidence(self) -> str:
        """What a stage that failed in it said, '' where none did."""
        for path in sorted((self.project / ".headrace" / "failed").glob("*/error.json")):
            told = json.loads(path.read_text(encoding="utf-8"))
            return f"{path.parent.name}: {told['message']}"
        return ""


@contextmanager
def check_out(settings: Settings, evidence: Evidence) -> Iterator[Worktree]:
    """Check the commit of a run out beside the user's state, and put the recorded files into it; all of it is removed at the end.

    Raises:
        ConfigError: the commit is not in this repository, or the recorded changes do not fit it.
    """
    top = git(settings.project, "rev-parse", "--show-toplevel")
    if top is None or git(settings.project, "cat-file", "-e", f"{evidence.commit}^{{commit}}") is None:
        raise ConfigError(
            f"commit {evidence.commit[:10] or '(none recorded)'} of {evidence.title} is not in this repository. `git fetch` may bring it."
        )
    repository = Path(top.decode().strip())
    folder = settings.state_home / "reproduce"
    _remove_left_behind(repository, folder)
    base = folder / f"{evidence.commit[:10]}-{ProcessId.own().pid}"
    base.mkdir(parents=True, mode=0o700)
    (base / OWNER).write_text(ProcessId.own().to_text(), encoding="utf-8")
    try:
        command = [
            "-c",
            "core.hooksPath=/dev/null",
            "worktree",
            "add",
            "--quiet",
            "--detach",
            str(base / "tree"),
            evidence.commit,
        ]
        if git(repository, *command) is None:
            raise ConfigError(
                f"git cannot make a worktree of {evidence.commit[:10]} in {base}. `git worktree prune`, then try again."
            )
        project = base / "tree" / settings.project.resolve().relative_to(repository.resolve())
        yield _furnish(settings, evidence, project, base / "home")
    finally:
        _remove(repository, base)


def _furnish(settings: Settings, evidence: Evidence, project: Path, home: Path) -> Worktree:
    if evidence.is_dirty:
        applied = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=project,
            input=evidence.files.get(CHANGES, b""),
            capture_output=True,
            check=False,
        )
        if applied.returncode != 0 or CHANGES not in evidence.files:
            raise ConfigError(
                f"the uncommitted changes recorded with {evidence.title} do not fit commit {evidence.commit[:10]}: "
                f"{applied.stderr.decode('utf-8', 'replace').strip()[:200]}"
            )
    for name, content in evidence.files.items():
        if name != CHANGES:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_bytes(content)
    home.mkdir(mode=0o700)
    settings.downloads.mkdir(parents=True, exist_ok=True)
    (home / "downloads").symlink_to(settings.downloads)  # by sha256, and verified whenever they are read
    _write_dvc_config(settings, project, home)
    own = {
        "HEADRACE_HOME": str(home),
        "HEADRACE_PROJECT": str(project),
        "HEADRACE_TRACKING": "false",
        "HEADRACE_SERVICES": "false",
        "HEADRACE_THREADS": str(settings.thread_count),
        "HEADRACE_DEVICE": settings.device,
        "PATH": f"{environment_bin()}:{child_environment().get('PATH', '')}",
    }
    if settings.mirror:
        own["HEADRACE_MIRROR"] = settings.mirror
    if (project / "src" / "headrace").is_dir():  # the package is part of the project: that of the commit, not the installed one
        own["PYTHONPATH"] = str(project / "src")
    kept = child_environment(without=("MLFLOW_TRACKING_", "PREFECT_", "HEADRACE_RUN", "HEADRACE_PREFECT"))
    return Worktree(project, home, {**kept, **client_variables(settings), **own})


def _write_dvc_config(settings: Settings, project: Path, home: Path) -> None:
    local = settings.project / ".dvc" / "config.local"
    before = local.read_text(encoding="utf-8") if local.exists() else ""
    text = with_values(before, {"core": {"site_cache_dir": str(home / "dvc-site")}, "cache": {"dir": str(home / "dvc-cache")}})
    (project / ".dvc").mkdir(exist_ok=True)
    (project / ".dvc" / "config.local").write_text(text, encoding="utf-8")


def _remove_left_behind(repository: Path, folder: Path) -> None:
    """What a killed process could not remove."""
    for base in folder.glob("*"):
        owner = base / OWNER
        process = ProcessId.from_text(owner.read_text(encoding="utf-8")) if owner.exists() else None
        if process is not None and not process.is_alive():
            _remove(repository, base)


def _remove(repository: Path, base: Path) -> None:
    git(repository, "worktree", "remove", "--force", "--force", str(base / "tree"))
    shutil.rmtree(base, ignore_errors=True)
    git(repository, "worktree", "prune")
