"""The project: its agreement with itself, its set-up, recipes, stages; and this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.app import Json, read_settings, show

commands = typer.Typer()
recipe_app = typer.Typer(no_args_is_help=True, help="Complete params.yaml files for other tasks and data sets.")
stage_app = typer.Typer(no_args_is_help=True, help="Stages of this project.")
commands.add_typer(recipe_app, name="recipe")
commands.add_typer(stage_app, name="stage")

STARTS = ("image-classification", "tabular", "tabular-regression", "text-classification")
"""Tasks that `headrace init` knows, as headrace/starting has them."""


@commands.command()
def lint(
    fix: Annotated[bool, typer.Option("--fix", help="Write the missing lines into dvc.yaml.")] = False,
    as_json: Json = False,
) -> None:
    """Check that dvc.yaml, params.yaml, stages and imports agree: a stage that does not name what it imports keeps stale results.

    Examples: [bold]headrace lint[/] · [bold]headrace lint --fix[/]
    """
    from headrace.project.lint import lint as check

    settings = read_settings()
    findings = check(settings.project, fix=fix)
    if as_json:
        show([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(f"{len(findings)} findings" if findings else "dvc.yaml, params.yaml, stages and imports agree")
    raise typer.Exit(1 if findings else 0)


@commands.command()
def setup() -> None:
    """Point this checkout at the project's shared cache and prepare the databases; `make run` does it. Safe to repeat.

    Example: [bold]headrace setup[/]
    """
    from headrace.project.setup import ensure_set_up

    settings = read_settings()
    for line in ensure_set_up(settings, databases=True):
        typer.echo(line)


@commands.command("merge-lock", hidden=True)
def merge_lock(base: Path, ours: Path, theirs: Path, name: str) -> None:
    """What git calls to merge dvc.lock, data/sources.lock and the ledger; `headrace setup` tells it to.

    Exit code 2: one side cannot be read, and a person has to decide.
    """
    from headrace.project.lock_merge import merge_files

    for note in merge_files(base, ours, theirs, name):
        typer.echo(note, err=True)


@commands.command(no_args_is_help=True)
def init(
    folder: Annotated[Path, typer.Argument(help="The new project's folder; it must be new or empty.")],
    task: Annotated[str, typer.Option("--task", help=f"What one record is: {', '.join(STARTS)}.")],
    data: Annotated[
        Path, typer.Option("--data", help="A table (.csv, .jsonl, .parquet), a folder or an archive; it stays where it is.")
    ],
    text: Annotated[str | None, typer.Option("--text", help="Column of the text.")] = None,
    label: Annotated[
        str | None, typer.Option("--label", "--target", help="Column of the class, or of the number to predict.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Column that says train, validation or test.")] = None,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of a text file that is not UTF-8, such as cp1252.")] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="Between the cells of a CSV file; default: found.")] = None,
) -> None:
    """Start a project of your own with your own data: files, a first suite from what the data hold, a repository.

    Examples: [bold]headrace init reviews --task text-classification --data reviews.csv --text body --label stars[/] ·
    [bold]headrace init churn --task tabular --data customers.csv --label churn[/] ·
    [bold]headrace init houses --task tabular-regression --data houses.csv --label price[/] ·
    [bold]headrace init photos --task image-classification --data pictures.zip[/]
    """
    from headrace.cli.app import terminated_like_ctrl_c
    from headrace.starting.project import Wish, start

    with terminated_like_ctrl_c():
        started = start(Wish(folder, task, data, text, label, split, encoding, delimiter))
    for line in started.lines:
        typer.echo(line)


@commands.command("lock")
def lock_packages() -> None:
    """Write requirements.lock and environment.json of your project from what is installed, as after an upgrade. Then --dry-run.

    Example: [bold]pip install -U headrace && headrace lock && headrace run --dry-run[/]
    """
    from headrace.project.locking import lock

    changed = lock(read_settings().project)
    for line in changed:
        typer.echo(line)
    typer.echo("requirements.lock and environment.json are new: headrace run --dry-run" if changed else "nothing has changed")


@recipe_app.command("list")
def recipe_list() -> None:
    """The recipes of this project; a star marks the one in use.

    Example: [bold]headrace recipe list[/]
    """
    from headrace.project.recipes import list_recipes

    known = list_recipes(read_settings().project)
    width = max((len(recipe.name) for recipe in known), default=0)
    for recipe in known:
        typer.echo(f"{'*' if recipe.is_current else ' '} {recipe.name:<{width}}  {recipe.summary}")


@recipe_app.command("use")
def recipe_use(
    name: Annotated[str, typer.Argument(help="A name from `headrace recipe list`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an edited params.yaml; a copy is kept in .headrace/.")] = False,
) -> None:
    """Make a recipe this project's params.yaml, with its data/sources.lock. Works offline; switching back is a cache hit.

    Example: [bold]headrace recipe use mnist && headrace run[/]
    """
    from headrace.flow.workspace import hold_workspace
    from headrace.project.recipes import use

    settings = read_settings()
    # A run at work would read half of its params from the one recipe and half from the other.
    with hold_workspace(settings.local):
        typer.echo(use(settings.project, name, force=force))


@stage_app.command("new")
def stage_new(
    name: Annotated[str, typer.Argument(help="A verb in lower case, such as 'clean'.")],
    after: Annotated[str, typer.Option("--after", help="The stage whose output it reads.")],
) -> None:
    """Add a stage: module, params section, dvc.yaml stanza, report and test. It runs at once.

    Example: [bold]headrace stage new clean --after validate[/]
    """
    from headrace.project.scaffold import new_stage

    for line in new_stage(read_settings().project, name, after=after):
        typer.echo(line)


@stage_app.command("add")
def stage_add(name: Annotated[str, typer.Argument(help="suspects: records whose label is probably wrong.")]) -> None:
    """Add an optional stage of the package: dvc.yaml stanza and params section. Without it nothing is spent on it.

    Example: [bold]headrace stage add suspects[/]
    """
    from headrace.project.scaffold import add_stage

    for line in add_stage(read_settings().project, name):
        typer.echo(line)


@commands.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine: packages, cache, stores, disk, and which precisions train fast here.

    Example: [bold]headrace doctor[/]
    """
    from headrace.project.doctor import examine

    checks = examine(read_settings())
    if as_json:
        show([asdict(check) for check in checks])
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.is_ok else 'FAIL'} {check.name:<22} {check.found}")
    raise typer.Exit(0 if all(check.is_ok for check in checks) else 1)
