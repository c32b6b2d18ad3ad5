"""The services on this machine."""

from dataclasses import asdict
from typing import Annotated

import typer

from headrace.cli.app import Json, read_settings, show, terminated_like_ctrl_c

commands = typer.Typer()


@commands.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000) -> None:
    """Open the MLflow UI on the project's store.

    Example: [bold]headrace ui --port 5001[/]
    """
    from headrace.tracking.ui import serve

    with terminated_like_ctrl_c():
        code = serve(read_settings(), port, say=typer.echo)
    raise typer.Exit(code)


@commands.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once the services answer; they go on.")] = False,
    object_store: Annotated[
        bool | None,
        typer.Option("--object-store/--no-object-store", help="With a local S3 server, from now on; default: as the last time."),
    ] = None,
) -> None:
    """Start MLflow, Prefect and a worker on this machine, with passwords; start again what is down. Ctrl-C ends them.

    Examples: [bold]headrace up[/] · [bold]headrace up --detach --object-store[/]
    """
    from headrace.services.foreground import bring_up

    bring_up(read_settings(), with_object_store=object_store, detach=detach, say=typer.echo)


@commands.command()
def down() -> None:
    """End what `headrace up` started. What is stored stays.

    Example: [bold]headrace down[/]
    """
    from headrace.services.operations import down as end_services

    ended = end_services(read_settings(), say=typer.echo)
    typer.echo("what they stored stays; headrace up starts them again" if ended else "no service was running")


@commands.command()
def ps(as_json: Json = False) -> None:
    """The services of this project: up, silent (alive without an answer) or down.

    Example: [bold]headrace ps[/]
    """
    from headrace.services.operations import rows
    from headrace.services.page import table

    found = rows(read_settings())
    if as_json:
        show([asdict(row) for row in found])
    else:
        typer.echo(table(found) if found else "this project has no services yet: headrace up")


@commands.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="mlflow, prefect, worker or object-store; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added; Ctrl-C ends it.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Lines of each to begin with.")] = 50,
) -> None:
    """What the services wrote.

    Examples: [bold]headrace logs[/] · [bold]headrace logs worker --follow[/]
    """
    from headrace.services.logs import lines

    for line in lines(read_settings(), service, last=last, follow=follow):
        typer.echo(line)
