"""Bring the pipeline up to date, and ask what would run and why."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.app import Json, plan_now, read_settings, show, terminated_like_ctrl_c

if TYPE_CHECKING:
    from headrace.settings import Settings


commands = typer.Typer()
state_app = typer.Typer(no_args_is_help=True, help="The git branch that scheduled runs build on, one on the other.")
commands.add_typer(state_app, name="state")


@commands.command()
def run(
    stage: Annotated[
        list[str] | None, typer.Option("--stage", "-s", help="Only this stage and what it needs; may be repeated.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Run the named stages (or all) even when nothing changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would run and why; change nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every line the stages print.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the project up to date: run what changed, then register, promote and report.

    Examples: [bold]headrace run[/] · [bold]headrace run --dry-run[/] · [bold]headrace run --stage split[/] ·
    [bold]headrace run --stage train --force[/]
    """
    settings = read_settings()
    if dry_run:
        _dry_run(settings, stage or [], force=force, as_json=as_json)
        return
    from headrace.flow.conductor import run_pipeline
    from headrace.flow.terminal import Terminal
    from headrace.project.setup import ensure_set_up

    ensure_set_up(settings)
    with terminated_like_ctrl_c():
        result = run_pipeline(settings, Terminal(quiet=quiet or as_json, verbose=verbose), stages=stage, force=force)
    if as_json:
        show(
            {
                "stages": result.stages,
                "seconds": round(result.seconds, 2),
                "up_to_date": result.is_noop,
                "lines": result.headlines,
            }
        )
    elif result.is_noop:
        typer.echo(f"up to date, {result.num_stages} stages, {result.seconds:.1f} s")
    elif not quiet:
        _what_next(settings, result.seconds, partial=bool(stage))


def _what_next(settings: "Settings", seconds: float, *, partial: bool) -> None:
    typer.echo(f"\ndone in {seconds:.1f} s")
    if not partial and (settings.project / "reports" / "report.html").exists():
        typer.echo("  the report      reports/report.html   (headrace report --open)")
        typer.echo("  runs, models    headrace ui")
        typer.echo("  try a change    edit params.yaml, then headrace run --dry-run")


def _dry_run(settings: "Settings", wanted: list[str], *, force: bool, as_json: bool) -> None:
    from headrace.flow.conductor import select

    plan = select(plan_now(settings), wanted)
    forced = frozenset(wanted or [each.name for each in plan.stages]) if force else frozenset[str]()
    stale = plan.stale(forced)
    if as_json:
        show({each.name: {"would_run": each.name in stale, "why": stale.get(each.name, "")} for each in plan.stages})
        return
    for each in plan.stages:
        typer.echo(
            f"{'would run' if each.name in stale else 'unchanged':<10} {each.name:<10} {stale.get(each.name, '')}".rstrip()
        )
    if not stale:
        typer.echo(f"\nup to date: none of {len(plan.stages)} stages would run")
        return
    certain = sum(1 for name in stale if not stale[name].startswith("if "))
    typer.echo(
        f"\n{certain} of {len(plan.stages)} stages would run for certain, {len(stale) - certain} more if these give another result"
    )


@commands.command()
def ablate(
    what: Annotated[
        list[str], typer.Argument(help="augment, init_from, calibrate, or section.key=VALUE of the variant without.")
    ],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each variant, from train.seed on.")] = 1,
    as_json: Json = False,
) -> None:
    """What a choice is worth: run with and without it, and compare on the same test records. The workspace stays as it is.

    Stages that the choice does not reach come from the cache; nothing is recorded in MLflow.

    Examples: [bold]headrace ablate augment[/] · [bold]headrace ablate train.ema=null --seeds 5[/]
    """
    from headrace.flow.ablation import ablate as compare
    from headrace.flow.ablation import in_words
    from headrace.project.setup import ensure_set_up

    settings = read_settings()
    ensure_set_up(settings)
    with terminated_like_ctrl_c():
        found = compare(settings, what, lambda line: typer.echo(line, err=True), seeds=seeds)
    if as_json:
        show(asdict(found))
    else:
        for line in in_words(found):
            typer.echo(line)


@commands.command()
def status(as_json: Json = False) -> None:
    """Is the project up to date, and who works in it?

    Example: [bold]headrace status[/]
    """
    from datetime import UTC, datetime

    from headrace.flow.workspace import holder

    settings = read_settings()
    if busy := holder(settings.local):
        if as_json:
            show({"running": busy.pid})
        else:
            since = datetime.fromtimestamp(busy.started, UTC).strftime("%H:%M:%S UTC")
            typer.echo(f"process {busy.pid} has been running the pipeline since {since}; its stages write .headrace/logs/")
        return
    plan = plan_now(settings)
    stale = plan.stale()
    if as_json:
        show({"running": None, "stale": stale, "stages": [stage.name for stage in plan.stages]})
        return
    typer.echo("no run at work")
    for stage in plan.stages:
        typer.echo(f"{'stale' if stage.name in stale else 'ok':<6} {stage.name:<10} {stale.get(stage.name, '')}".rstrip())


@commands.command()
def why(stage: Annotated[str, typer.Argument(help="Name of a stage.")], as_json: Json = False) -> None:
    """Why would a stage run? The changed files and params, with old and new values.

    Example: [bold]headrace why train[/]
    """
    from headrace.flow.conductor import select

    plan = select(plan_now(read_settings()), [stage])
    wanted = next(each for each in plan.stages if each.name == stage)
    reason = plan.stale().get(stage)
    if as_json:
        show(
            {
                "stage": stage,
                "would_run": reason is not None,
                "changes": [asdict(change) for change in wanted.changes],
                "why": reason,
            }
        )
        return
    if reason is None:
        typer.echo(f"{stage} is up to date: nothing it depends on has changed since it ran")
    for change in wanted.changes:
        typer.echo(str(change))
    if reason is not None and not wanted.changes:
        typer.echo(f"nothing of its own has changed; it runs {reason}")


@commands.command()
def accept(
    stages: Annotated[
        list[str] | None, typer.Argument(help="Names of stages; none: every stage that something has changed for.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why the change cannot alter the outputs.")] = "",
) -> None:
    """Record that a change cannot alter the outputs of stages (a message, a comment), so that they are not run again.

    Examples: [bold]headrace accept train --reason "reworded an error message"[/] ·
    [bold]headrace accept --reason "a comment in errors.py"[/]
    """
    from headrace.flow.acceptance import accept as accept_change

    for line in accept_change(read_settings(), stages or [], reason):
        typer.echo(line)


@commands.command()
def ci(
    against: Annotated[
        str | None,
        typer.Option("--against", help="Branch or commit; default: the target of the pull request, else the default branch."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for review.md and plots; default: .headrace/ci.")] = None,
    as_json: Json = False,
) -> None:
    """May this pull request be merged? Runs in GitHub Actions, GitLab or a bare checkout with only the bucket; executes no stage.

    Exit code 10 when dvc.lock is stale or the remote lacks objects (a forgotten push). Writes what the branch changes (verdict, metrics,
    params, data, plots) as review.md, and to the job summary of GitHub.

    Examples: [bold]headrace ci[/] · [bold]headrace ci --against main --out review[/]
    """
    from headrace.errors import ReviewFailed
    from headrace.flow.review import PAGE, review
    from headrace.project.setup import ensure_set_up

    settings = read_settings()
    ensure_set_up(settings)
    folder = out or settings.local / "ci"
    found = review(settings, against=against, out=folder, say=lambda line: typer.echo(line, err=True))
    if as_json:
        show({**asdict(found), "problems": found.problems})
    else:
        typer.echo(f"written: {folder / PAGE}")
    if found.problems:
        raise ReviewFailed("; ".join(found.problems))
    if not as_json:
        told = (
            f"fit to merge: dvc.lock is up to date; {found.remote}"
            if found.is_checked
            else "nothing to check: git has no dvc.lock"
        )
        typer.echo(told)


@state_app.command("show")
def state_show() -> None:
    """Where the state branch stands: its last commits, and whether main is in it.

    Example: [bold]headrace state show[/]
    """
    from headrace.flow.state_branch import describe

    for line in describe(read_settings()):
        typer.echo(line)


@state_app.command("begin")
def state_begin() -> None:
    """Put this clone onto the state branch, main merged in, as a scheduled run does; `headrace run` and `state carry` follow.

    For schedulers other than Prefect, in a clone of their own. The remote gets the merge at once, main is never pushed to.

    Example: [bold]headrace state begin && headrace run && headrace state carry[/]
    """
    from headrace.flow.state_branch import begin

    begin(read_settings(), typer.echo)


@state_app.command("carry")
def state_carry(
    message: Annotated[str, typer.Option("--message", "-m", help="Of the commit; default: what has changed.")] = "",
) -> None:
    """Push the dvc.lock and data/sources.lock of the run to the state branch; pushes of others in between are merged, entry by entry.

    Example: [bold]headrace state carry[/]
    """
    from headrace.flow.state_branch import carry

    carry(read_settings(), typer.echo, message=message)
