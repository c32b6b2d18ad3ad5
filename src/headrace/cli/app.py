"""The application that the modules beside this one add their commands to, and what commands share.

A command is thin: it reads the settings, calls one function, prints. Heavy imports stay inside the commands.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headrace.flow.launcher import Plan
    from headrace.settings import Settings

app = typer.Typer(
    name="headrace",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "From raw data to a registered model: one DAG, two doors. `dvc repro` and `headrace run` run the same stages to the same result; "
        "what follows the DAG (register, promote, report) is `headrace run`'s.\n\n"
        "Exit codes: 0 done (a refused promotion is a result) · 2 wrong input · 3 bad data · 4 other packages than locked · 5 workspace "
        "busy · 6 a stage failed · 7 training · 8 a service failed · 9 registry · 10 not fit to merge · 130 stopped."
    ),
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


class State:
    """The options before the command."""

    debug = False
    project: Path | None = None


@app.callback()
def _options(
    project: Annotated[Path | None, typer.Option("--project", "-C", help="The project's folder; default: here or above.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    if project is not None and not project.is_dir():
        from headrace.errors import ConfigError

        raise ConfigError(f"--project: there is no folder {project}.")
    State.debug, State.project = debug, project


@contextmanager
def terminated_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the command inside, as Ctrl-C does, and end it with 128 + their number."""

    def stop(signum: int, frame: object) -> None:
        del frame
        raise SystemExit(128 + signum)

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGHUP)}
    for signum, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup sets it
            signal.signal(signum, stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def read_settings() -> "Settings":
    """Settings of the project that the command is typed in, with the variables that the process needs.

    Raises:
        ConfigError: there is no project here, or a variable has a value that cannot be.
    """
    from headrace.settings import load_settings, prepare_process
    from headrace.variables import set_variable

    if State.debug:
        set_variable("HEADRACE_DEBUG", "1")
    settings = load_settings(State.project)
    prepare_process(settings)
    return settings


def plan_now(settings: "Settings") -> "Plan":
    """What would run and why; refused while a run is at work, because then the answer is out of date before it is read."""
    from headrace.errors import WorkspaceBusy
    from headrace.flow.conductor import plan_only
    from headrace.flow.workspace import holder
    from headrace.settings import require_project

    if busy := holder(settings.local):
        raise WorkspaceBusy(f"process {busy.pid} is running the pipeline here. Ask again when it has ended.")
    require_project(settings.project)
    return plan_only(settings)


def show(value: Any) -> None:
    """Print JSON for a machine."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True, default=str))
