"""The bucket that shares data, artifacts and run-cache."""

from dataclasses import asdict
from typing import Annotated

import typer

from headrace.cli.app import Json, State, read_settings, show

commands = typer.Typer()
remote_app = typer.Typer(no_args_is_help=True, help="The bucket that shares data, artifacts and run-cache.")
commands.add_typer(remote_app, name="remote")


@commands.command()
def push() -> None:
    """Send outputs and run-cache to the remote, and see that all that dvc.lock needs is there.

    Example: [bold]headrace push[/]
    """
    from headrace.flow.launcher import for_transfer

    with for_transfer(State.project) as dvc:
        from headrace.flow.transfer import push as send

        typer.echo(send(read_settings(), lambda line: typer.echo(line, err=True), dvc))


@commands.command()
def pull() -> None:
    """Bring outputs and run-cache from the remote; each object is compared with its hash. Changed outputs are replaced.

    Example: [bold]headrace pull[/]
    """
    from headrace.flow.launcher import for_transfer

    with for_transfer(State.project) as dvc:
        from headrace.flow.transfer import pull as bring

        typer.echo(bring(read_settings(), lambda line: typer.echo(line, err=True), dvc))


@commands.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    remote: Annotated[bool, typer.Option("--remote", help="Also the bucket, and uploads there that never ended.")] = False,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Days; what is younger stays. Default: 1, in the bucket 14.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Free what nothing refers to: no checkout of this machine, no branch, tag or stash, no registered model.

    Examples: [bold]headrace gc --dry-run[/] · [bold]headrace gc --remote --older-than 30[/]
    """
    from headrace.flow.garbage import collect, lines

    done = collect(read_settings(), dry_run=dry_run, remote=remote, older_than=older_than)
    if as_json:
        places = [
            {"name": each.name, "objects": each.held, "bytes": each.held_bytes, "freed_bytes": each.freed_bytes,
             "gone": [item.name for item in each.gone], "uploads": each.uploads} for each in done.places
        ]  # fmt: skip
        show({**asdict(done), "places": places})
        return
    for line in lines(done):
        typer.echo(line)


@remote_app.command("add")
def remote_add(
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix")],
    name: Annotated[str, typer.Option("--name", help="Name of the remote.")] = "storage",
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="URL of a server that is not Amazon's; default: AWS_ENDPOINT_URL_S3.")
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Write .dvc/config, which git shares.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Make the bucket if there is none.")] = False,
) -> None:
    """Use a bucket as the project's remote: tried with an object first, then recorded with verify = true.

    Examples: [bold]headrace remote add s3://team-data/headrace --shared[/] ·
    [bold]headrace remote add s3://data/headrace --endpoint http://127.0.0.1:9000 --create[/]
    """
    from headrace.project.remote import add_remote

    typer.echo(add_remote(read_settings(), url, name=name, endpoint=endpoint, shared=shared, create=create))


@remote_app.command("audit")
def remote_audit(
    sample: Annotated[int, typer.Option("--sample", min=0, help="Objects to read and hash beside those that look wrong.")] = 20,
    full: Annotated[bool, typer.Option("--full", help="Read and hash all of them.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Store broken ones again from this machine's cache.")] = False,
    as_json: Json = False,
) -> None:
    """Whether the bucket holds what dvc.lock needs, unharmed. Exit code 3 when something is broken still.

    Examples: [bold]headrace remote audit[/] · [bold]headrace remote audit --full --repair[/]
    """
    from headrace.storage.audit import audit, lines

    found = audit(read_settings(), sample=None if full else sample, repair=repair)
    if as_json:
        show(asdict(found))
    else:
        for line in lines(found):
            typer.echo(line)
        if found.left and not repair:
            typer.echo("--repair stores them again from this machine's cache")
    raise typer.Exit(3 if found.left else 0)
