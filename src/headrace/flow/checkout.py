"""The workspace of a scheduled run: a fresh clone on whichever machine, with the state that must outlive it kept beside the cache.

`prepare` is a pull step of infra/prefect.yaml, after Prefect's `git_clone`; the same two steps work for a process and in a pod.
"""

import contextlib
import shutil
from pathlib import Path

import headrace
from headrace.dagfile import locked_outs
from headrace.errors import ConfigError
from headrace.flow import handover
from headrace.flow.run import Run
from headrace.flow.state_branch import begin
from headrace.project.setup import ensure_set_up
from headrace.settings import Settings, git, load_settings, prepare_process
from headrace.state.branch import state_branch
from headrace.variables import set_variable, variable

OUTSIDE_DVC = ("report.html", "data-docs", "promotion.json", "timings.json")
"""What the steps after the DAG write to reports/; made anew they would cost a no-op its second or two."""


def prepare(directory: str) -> dict[str, str]:
    """Make a clone ready for a run; the variables that are set here are those of the run's own process.

    Args:
        directory: the clone.

    Returns:
        {"directory": ...}, by which Prefect knows where the run works.

    Raises:
        ConfigError: it is no Headrace project, its history cannot be fetched, or main cannot be merged into the state branch.
        StateRefused: the state branch takes no push from here.
    """
    settings = load_settings(Path(directory).resolve())
    project = settings.project
    whole_history(project)
    prepare_process(settings)
    ensure_set_up(settings)
    keep_state(settings)
    if state_branch(settings) is not None:
        begin(settings, print)
    if variable("HEADRACE_PROJECT"):  # the worker's own, which is another checkout
        set_variable("HEADRACE_PROJECT", str(project))
    source = project / "src" / "headrace"
    if source.is_dir() and not is_same_code(source, Path(headrace.__file__).parent):
        # The package's own repository: what is cloned is what runs.
        set_variable("PYTHONPATH", f"{project / 'src'}:{variable('PYTHONPATH')}".rstrip(":"))
    elif (project / "dvc.lock").exists():
        handover.begin(settings, "bring_back")
    return {"directory": str(project)}


def is_same_code(one: Path, other: Path) -> bool:
    """Whether two copies of a package have the same modules: then the installed one is taken, which is compiled already."""

    def modules(folder: Path) -> dict[Path, bytes]:
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.py")}

    return modules(one) == modules(other)


def whole_history(project: Path) -> None:
    """Fetch what `git clone --depth 1` left out: the project's name is that of its first commit, and a merge needs a base."""
    if git(project, "rev-parse", "--is-shallow-repository") != "true":
        return
    git(project, "fetch", "--quiet", "--unshallow", "origin")
    if git(project, "rev-parse", "--is-shallow-repository") == "true":
        raise ConfigError(f"git fetch --unshallow origin failed in {project}. Is the repository reachable from this machine?")


def keep_state(settings: Settings) -> None:
    """Have .headrace outlive the clone: one folder for each machine and flow, with logs, evidence, and what has been done already.

    Its lock is the machine's too: two runs of one deployment never work here at once, whatever a server believes.
    """
    kept = kept_state(settings)
    kept.mkdir(parents=True, exist_ok=True)
    if not settings.local.is_symlink():
        if settings.local.is_dir():
            shutil.rmtree(settings.local)
        settings.local.symlink_to(kept)
    exclude = settings.project / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a", encoding="utf-8") as lines:
        lines.write("/.headrace\n")  # .gitignore names the folder, and a link is none
    reports = settings.project / "reports"
    for name in OUTSIDE_DVC:
        _replace(kept / "reports" / name, reports / name)


def kept_state(settings: Settings) -> Path:
    """Where the state of scheduled runs is kept on this machine."""
    return settings.state_home / "scheduled"


def keep_reports(settings: Settings) -> None:
    """Save what the next scheduled run finds in its reports/ again."""
    for name in OUTSIDE_DVC:
        _replace(settings.project / "reports" / name, kept_state(settings) / "reports" / name)


def bring_back(run: Run, *, pull: bool = False) -> None:
    """Check out every output that dvc.lock names and the cache has, so that the plan sees what has changed and not what is new.

    With `pull`, outputs that the cache lacks are fetched from the remote first.
    """
    project = run.settings.project
    if not (project / "dvc.lock").exists():
        return
    run.launcher.bring_back()  # `prepare` may have begun it
    if pull and any(not (project / path).exists() for path in locked_outs(project)):
        run.launcher.perform("pull", lambda _: None)
        run.launcher.forget()


def _replace(source: Path, target: Path) -> None:
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
