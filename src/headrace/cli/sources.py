"""The sources of the data set."""

from dataclasses import asdict
from typing import Annotated

import typer

from headrace.cli.app import Json, read_settings, show

commands = typer.Typer()
sources_app = typer.Typer(no_args_is_help=True, help="The sources of the data set and their snapshot, data/sources.lock.")
commands.add_typer(sources_app, name="sources")


@sources_app.command("refresh")
def sources_refresh(
    full: Annotated[bool, typer.Option("--full", help="Believe no mark (ETag, marker query) and read everything again.")] = False,
    as_json: Json = False,
) -> None:
    """Look whether the sources changed (cheap marks first) and rewrite data/sources.lock if they did.

    Example: [bold]headrace sources refresh && headrace run[/]
    """
    from headrace.flow.refresh import in_words, refresh_sources

    changes = refresh_sources(read_settings(), full=full)
    if as_json:
        show([asdict(change) for change in changes])
    else:
        typer.echo("\n".join(in_words(changes)))


@sources_app.command("list")
def sources_list(as_json: Json = False) -> None:
    """The files that data/sources.lock pins, with size, sha256 and where they come from.

    Example: [bold]headrace sources list[/]
    """
    from headrace.sources.snapshot import read_lock

    lock = read_lock(read_settings().project / "data" / "sources.lock")
    if as_json:
        show(lock.model_dump(mode="json"))
        return
    listed = [(entry.source["kind"], file) for entry in lock.sources for file in entry.files]
    listed += [("initial", file) for file in lock.initial.files] if lock.initial else []
    for kind, file in listed:
        typer.echo(f"{kind:<8} {file.name:<32} {file.size:>12,} B  sha256 {file.sha256[:12]}  {file.url}")
