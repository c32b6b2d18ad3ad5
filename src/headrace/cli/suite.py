"""What the data should look like: the suite and the accepted profile."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.app import read_settings

if TYPE_CHECKING:
    from headrace.settings import Settings

commands = typer.Typer()
suite_app = typer.Typer(no_args_is_help=True, help="What the data should look like: expectations/.")
commands.add_typer(suite_app, name="suite")


@suite_app.command("update")
def suite_update(
    write: Annotated[bool, typer.Option("--write", help="Apply the proposal instead of printing it.")] = False,
) -> None:
    """Propose what the suite and expectations/accepted.json should say for the data that came in: a diff, for a person to judge.

    Reads data/raw as `collect` left it. A rule of the suite is widened where it keeps back more than validate.max_bad_fraction, a rule
    of a column that is gone is removed, a new column gets one. Afterwards changes are looked for against these data.

    Examples: [bold]headrace suite update[/] · [bold]headrace suite update --write && git diff expectations[/]
    """
    from headrace.flow.workspace import hold_workspace
    from headrace.params import load_section
    from headrace.stages.validate import Params
    from headrace.validation.proposal import propose

    settings = read_settings()
    paths = _paths(settings)
    allowed = load_section(settings.project / "params.yaml", "validate", Params).max_bad_fraction
    with hold_workspace(settings.local):
        proposal = propose(paths["raw"], paths["suite"], paths["accepted"], max_bad_fraction=allowed)
        if not proposal.files:
            typer.echo("expectations fit the data: nothing to propose")
            return
        if write:
            proposal.write()
    names = " and ".join(path.relative_to(settings.project).as_posix() for path in proposal.files)
    if write:
        typer.echo(f"written: {names}. Look at `git diff expectations`, commit it, then headrace run")
    else:
        typer.echo(proposal.diff(settings.project), nl=False)
        typer.echo(
            "\n`headrace suite update --write` applies this; what should not become normal is mended at its source instead"
        )


def _paths(settings: "Settings") -> dict[str, Path]:
    """What dvc.yaml hands to the stage `validate`."""
    from headrace import dagfile
    from headrace.errors import ConfigError

    stanza = dagfile.read_stanzas(settings.project).get("validate")
    words = shlex.split(stanza.cmd) if stanza else []
    found = {}
    for name in ("raw", "suite", "accepted"):
        if f"--{name}" not in words[:-1]:
            raise ConfigError(f"dvc.yaml has no stage 'validate' with --{name}: there is nothing to update.")
        found[name] = settings.project / words[words.index(f"--{name}") + 1]
    return found
