"""What runs by itself: bring the Prefect server to infra/prefect.yaml, and look at its runs."""

from dataclasses import asdict
from typing import Annotated

import typer

from headrace.cli.app import Json, read_settings, show

commands = typer.Typer()


@commands.command()
def deploy(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what differs; change nothing.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove deployments of this project that the file has no longer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Schedule the flows of infra/prefect.yaml: compare with the Prefect server, change what differs.

    Examples: [bold]headrace deploy[/] · [bold]headrace deploy --dry-run[/]
    """
    settings = read_settings()
    from headrace.flow.deployments import deploy as bring

    found = bring(settings, dry_run=dry_run, prune=prune, say=lambda line: typer.echo(line, err=True))
    if as_json:
        show([asdict(each) for each in found])
        return
    for each in found:
        typer.echo(f"{each.state:<10} {each.name}")
        for change in each.changes:
            typer.echo(f"{'':<10}   {change}")
    if any(each.state == "left" for each in found):
        typer.echo("\nleft: on the server and not in the file; --prune removes them")
    if all(each.state in ("unchanged", "left") for each in found):
        typer.echo("\nunchanged: the server has it all")
    elif dry_run:
        typer.echo("\nnothing has been changed")


@commands.command()
def runs(
    run: Annotated[str | None, typer.Argument(help="Id of a run; default: the latest ones.")] = None,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many.")] = 10,
    as_json: Json = False,
) -> None:
    """Runs that workers did: the latest, or one with its stages and the end of its log.

    Examples: [bold]headrace runs[/] · [bold]headrace runs 0c6f2b1e-...[/]
    """
    settings = read_settings()
    from headrace.flow import history

    if run is None:
        rows = history.recent(settings, limit=last)
        if as_json:
            show(rows)
            return
        for row in rows:
            typer.echo(f"{row['begun']:<25}  {row['deployment']:<10} {row['state']:<12} {row['seconds']:>8.1f} s  {row['id']}")
        if not rows:
            typer.echo("no run yet. `headrace deploy` schedules them; a run now: the Prefect page, Deployments, Quick run")
        return
    found = history.one(settings, run)
    if as_json:
        show(found)
        return
    typer.echo(f"{found['name']}: {found['state']}, {found['seconds']:.1f} s, begun {found['begun'] or 'not yet'}")
    if found["message"]:
        typer.echo(found["message"])
    typer.echo("")
    for stage in found["stages"]:
        typer.echo(
            f"{stage['state']:<12} {stage['name']:<12} {stage['message'].splitlines()[0] if stage['message'] else ''}".rstrip()
        )
    typer.echo("\nend of its log:")
    for line in found["log"]:
        typer.echo(f"  {line}")
