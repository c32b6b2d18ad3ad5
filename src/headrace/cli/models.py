"""The report, and the versions of the model: registered, promoted, rolled back, traced."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from headrace.cli.app import Json, read_settings, show, terminated_like_ctrl_c

commands = typer.Typer()


@commands.command()
def report(
    browse: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write reports/report.html anew and print its path.

    Example: [bold]headrace report --open[/]
    """
    from headrace.flow.page import write_page

    settings = read_settings()
    write_page(settings, say=lambda line: typer.echo(line, err=True))
    path = settings.project / "reports" / "report.html"
    typer.echo(str(path))
    if browse:
        typer.launch(path.as_uri())


@commands.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="Text to go on with.")] = "\n",
    model: Annotated[
        str, typer.Option("--model", help="A package or model folder, or a registered model such as shakespeare@champion.")
    ] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Tokens at most.")] = 200,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Below 1: likelier text; 0: always the likeliest token.")
    ] = 0.8,
    top_k: Annotated[int | None, typer.Option("--top-k", help="Draw from so many of the likeliest tokens.")] = None,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the likeliest tokens with this share of the probability.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Another one, another text.")] = 17,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="Text that ends the answer, backslash n for a line end; may be repeated.")
    ] = None,
) -> None:
    """Let a language model go on with a text. Prints it as it is written.

    Example: [bold]headrace generate "ROMEO:" --temperature 0.7 --stop "JULIET:"[/]
    """
    from headrace.params import parse_section
    from headrace.registry.folders import find_folder
    from headrace.training import generation

    values = {"max_tokens": max_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    stops = [text.replace("\\n", "\n") for text in stop or []]
    sampling = parse_section({**values, "stop": stops}, "generate", generation.Sampling, where="command line")
    network, encoding = generation.load_generator(find_folder(read_settings(), model))
    typer.echo(prompt, nl=False)
    for piece in generation.generate(network, encoding, prompt, sampling):
        typer.echo(piece, nl=False)
    typer.echo()


@commands.command()
def register() -> None:
    """Register the package as challenger if the gate of `evaluate` allows it. A refusal prints its reasons; the exit code is 0.

    Example: [bold]headrace register[/]
    """
    from headrace.registry.operations import register_package

    _print_outcome(register_package(read_settings(), say=typer.echo))


@commands.command()
def promote(
    approve: Annotated[
        bool,
        typer.Option("--approve", help="The approval that promote.mode: manual waits for, or a version that was rolled back."),
    ] = False,
) -> None:
    """Compare the challenger with the champion on the same test split; make it champion if it passes `promote.require`.

    Examples: [bold]headrace promote[/] · [bold]headrace promote --approve[/]
    """
    from headrace.registry.operations import promote_challenger

    _print_outcome(promote_challenger(read_settings(), approve=approve))


@commands.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")],
    to: Annotated[int | None, typer.Option("--to", help="Version; default: the champion before this one.")] = None,
) -> None:
    """Make the previous champion, or another version, champion again.

    Example: [bold]headrace rollback --reason "wrong labels in last week's data"[/]
    """
    from headrace.registry.operations import roll_back

    _print_outcome(roll_back(read_settings(), reason=reason, to=to))


@commands.command()
def history(as_json: Json = False) -> None:
    """Who made which version champion, when and why, each look at a test set, and what is left of the year's error budget.

    Example: [bold]headrace history[/]
    """
    from headrace.registry.operations import budget_in_words, past, refresh_ledger

    settings = read_settings()
    if note := refresh_ledger(settings):
        typer.echo(f"note: {note}", err=True)
    entries = past(settings)
    if as_json:
        show(entries)
        return
    for entry in entries:
        word = "against" if entry["action"] == "look" else "in place of"
        before = f" {word} version {entry['previous_version']}" if entry["previous_version"] else ""
        typer.echo(
            f"{entry['time'][:16].replace('T', ' ')}  {entry['action']:<9} {entry['model']} version {entry['version']}{before}"
        )
        typer.echo(f"  by {entry['actor']}; {'; '.join(entry['reasons']) or 'no reason given'}")
    if budget := budget_in_words(settings):
        typer.echo(budget)


def _print_outcome(outcome: Any) -> None:
    typer.echo(outcome.headline)
    for reason in outcome.reasons:
        typer.echo(f"  - {reason}")


@commands.command()
def trace(
    what: Annotated[str, typer.Argument(help="MODEL, MODEL@champion, MODEL/3, or a run id.")],
    as_json: Json = False,
) -> None:
    """Where a model came from: data, stages, commit, run and score, version, who made it champion and why.

    Examples: [bold]headrace trace digits@champion[/] · [bold]headrace trace digits/3 --json[/]
    """
    from headrace.registry.chain import render
    from headrace.registry.trace import trace as trace_back
    from headrace.tracking.live import store_of

    settings = read_settings()
    found = trace_back(store_of(settings), what, path=settings.ledger)
    if as_json:
        show(found)
    else:
        typer.echo(render(found))


@commands.command()
def verify(
    what: Annotated[str, typer.Argument(help="As for trace: MODEL, MODEL@champion, MODEL/3, or a run id.")],
    as_json: Json = False,
) -> None:
    """Read and hash again everything between a model and its sources. Exit code 3 when an edge is not what it was.

    Examples: [bold]headrace verify digits@champion[/] · [bold]headrace verify digits/3 --json[/]
    """
    from headrace.errors import ChainBroken
    from headrace.lineage.verify import verify as walk

    edges = []
    for edge in walk(read_settings(), what):
        edges.append(edge)
        if not as_json:
            typer.echo(str(edge))
    wrong = [edge.name for edge in edges if edge.state == "broken"]
    if as_json:
        show({"asked": what, "is_whole": not wrong, "edges": [asdict(edge) for edge in edges]})
    if wrong:
        raise ChainBroken(f"{what}: not what was recorded: {', '.join(wrong)}. The lines above say what was found.")
    if not as_json:
        left = sum(edge.state == "gone" for edge in edges)
        typer.echo(
            f"{what}: {len(edges) - left} edges hashed again, none broken" + (f"; {left} cannot be from here" if left else "")
        )


@commands.command()
def reproduce(
    what: Annotated[str, typer.Argument(help="A run id, or as for trace: MODEL, MODEL@champion, MODEL/3.")],
    start: Annotated[
        str | None, typer.Option("--from", help="First stage to execute; what earlier ones made is pulled. Default: execute all.")
    ] = None,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Also a run with uncommitted changes: those kept with it are applied.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a run again in a temporary checkout of its commit, and say what came out different. Touches no registry, no workspace.

    Exit code 3 when it differs on the same class of machine, or on another one beyond the recorded interval of the score.

    Examples: [bold]headrace reproduce digits@champion[/] · [bold]headrace reproduce digits/3 --from split[/]
    """
    from headrace.errors import NotReproduced
    from headrace.lineage.reproduce import in_words
    from headrace.lineage.reproduce import reproduce as run_again

    with terminated_like_ctrl_c():
        found = run_again(read_settings(), what, lambda line: typer.echo(line, err=True), start=start, allow_dirty=allow_dirty)
    if as_json:
        show({**asdict(found), "is_same_class": found.is_same_class, "is_reproduced": found.is_reproduced})
    else:
        for line in in_words(found):
            typer.echo(line)
    if not found.is_reproduced:
        raise NotReproduced(f"{found.title} was not reproduced: {', '.join(each.output for each in found.changed)}.")


@commands.command()
def diff(
    first: Annotated[str, typer.Argument(help="A run id, or as for trace: MODEL, MODEL@champion, MODEL/3.")],
    second: Annotated[str, typer.Argument(help="As the first.")],
    as_json: Json = False,
) -> None:
    """What distinguishes two runs: params, records by id, metrics, packages, code.

    Examples: [bold]headrace diff digits@champion digits@challenger[/] · [bold]headrace diff digits/2 digits/3 --json[/]
    """
    from headrace.lineage.difference import difference, in_words

    found = difference(read_settings(), first, second)
    if as_json:
        show(asdict(found))
    else:
        for line in in_words(found):
            typer.echo(line)
