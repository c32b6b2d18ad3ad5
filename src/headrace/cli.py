"""The command line. Thin: every command reads the settings, calls one function, prints. Heavy imports stay inside the commands."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from headrace.errors import HeadraceError

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
        "busy · 6 a stage failed · 7 training · 8 a service failed · 9 registry · 130 stopped."
    ),
)
recipe_app = typer.Typer(no_args_is_help=True, help="Complete params.yaml files for other tasks and data sets.")
stage_app = typer.Typer(no_args_is_help=True, help="Stages of this project.")
sources_app = typer.Typer(no_args_is_help=True, help="The sources of the data set and their snapshot, data/sources.lock.")
remote_app = typer.Typer(no_args_is_help=True, help="The bucket that shares data, artifacts and run-cache.")
app.add_typer(recipe_app, name="recipe")
app.add_typer(stage_app, name="stage")
app.add_typer(sources_app, name="sources")
app.add_typer(remote_app, name="remote")

MAX_SHOWN_CHANGES = 10

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


class _State:
    debug = False
    project: Path | None = None


@app.callback()
def _options(
    project: Annotated[Path | None, typer.Option("--project", "-C", help="The project's folder; default: here or above.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    _State.debug, _State.project = debug, project


STOPPED = 130


def main() -> NoReturn:
    """Entry point: one message and an exit code instead of a stack trace."""
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # how typer hands on a Ctrl-C
            _stopped()
        sys.exit(code if isinstance(code, int) else 0)
    except HeadraceError as error:
        if _State.debug:
            raise
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except Exception as error:
        # A wrong command or option. Typer brings its own copy of click, so the class is known by what it can do.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            sys.exit(error.exit_code)
        if _State.debug:
            raise
        sys.stderr.write(f"unexpected {type(error).__name__}: {error}\nThis is a fault of the program; --debug shows where.\n")
        sys.exit(1)


def _stopped() -> NoReturn:
    sys.stderr.write("\nstopped. Run the same command again to go on.\n")
    sys.exit(STOPPED)


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    import signal

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


def _settings() -> "Settings":
    from headrace.settings import load_settings, prepare_process, set_variable

    if _State.debug:
        set_variable("HEADRACE_DEBUG", "1")
    settings = load_settings(_State.project)
    prepare_process(settings)
    return settings


def _plan(settings: "Settings") -> "Plan":
    """What would run and why; refused while a run is at work, because then the answer is out of date before it is read."""
    from headrace.errors import WorkspaceBusy
    from headrace.flow.conductor import plan_only
    from headrace.flow.workspace import holder

    if busy := holder(settings.local):
        raise WorkspaceBusy(f"process {busy.pid} is running the pipeline here. Ask again when it has ended.")
    return plan_only(settings)


def _show(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


@app.command()
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
    settings = _settings()
    if dry_run:
        _dry_run(settings, stage or [], force=force, as_json=as_json)
        return
    from headrace.flow.conductor import run_pipeline
    from headrace.flow.terminal import Terminal
    from headrace.project.setup import ensure_set_up

    ensure_set_up(settings)
    with _terminated_like_ctrl_c():
        result = run_pipeline(settings, Terminal(quiet=quiet or as_json, verbose=verbose), stages=stage, force=force)
    if as_json:
        _show(
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

    plan = select(_plan(settings), wanted)
    forced = frozenset(wanted or [each.name for each in plan.stages]) if force else frozenset[str]()
    stale = plan.stale(forced)
    if as_json:
        _show({each.name: {"would_run": each.name in stale, "why": stale.get(each.name, "")} for each in plan.stages})
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


@app.command()
def status(as_json: Json = False) -> None:
    """Is the project up to date, and who works in it?

    Example: [bold]headrace status[/]
    """
    from datetime import UTC, datetime

    from headrace.flow.workspace import holder

    settings = _settings()
    if busy := holder(settings.local):
        if as_json:
            _show({"running": busy.pid})
        else:
            since = datetime.fromtimestamp(busy.started, UTC).strftime("%H:%M:%S UTC")
            typer.echo(f"process {busy.pid} has been running the pipeline since {since}; its stages write .headrace/logs/")
        return
    plan = _plan(settings)
    stale = plan.stale()
    if as_json:
        _show({"running": None, "stale": stale, "stages": [stage.name for stage in plan.stages]})
        return
    typer.echo("no run at work")
    for stage in plan.stages:
        typer.echo(f"{'stale' if stage.name in stale else 'ok':<6} {stage.name:<10} {stale.get(stage.name, '')}".rstrip())


@app.command()
def why(stage: Annotated[str, typer.Argument(help="Name of a stage.")], as_json: Json = False) -> None:
    """Why would a stage run? The changed files and params, with old and new values.

    Example: [bold]headrace why train[/]
    """
    from headrace.flow.conductor import select

    plan = select(_plan(_settings()), [stage])
    wanted = next(each for each in plan.stages if each.name == stage)
    reason = plan.stale().get(stage)
    if as_json:
        _show(
            {
                "stage": stage,
                "would_run": reason is not None,
                "changes": [vars_of(change) for change in wanted.changes],
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


def vars_of(change: Any) -> dict[str, Any]:
    """A change as JSON."""
    from dataclasses import asdict

    return asdict(change)


@app.command()
def lint(
    fix: Annotated[bool, typer.Option("--fix", help="Write the missing lines into dvc.yaml.")] = False,
    as_json: Json = False,
) -> None:
    """Check that dvc.yaml, params.yaml, stages and imports agree: a stage that does not name what it imports keeps stale results.

    Examples: [bold]headrace lint[/] · [bold]headrace lint --fix[/]
    """
    from headrace.project.lint import lint as check

    settings = _settings()
    findings = check(settings.project, fix=fix)
    if as_json:
        _show([vars_of(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(f"{len(findings)} findings" if findings else "dvc.yaml, params.yaml, stages and imports agree")
    raise typer.Exit(1 if findings else 0)


@app.command()
def setup() -> None:
    """Point this checkout at the project's shared cache and prepare the databases; `make run` does it. Safe to repeat.

    Example: [bold]headrace setup[/]
    """
    from headrace.project.setup import ensure_set_up

    settings = _settings()
    for line in ensure_set_up(settings, databases=True):
        typer.echo(line)


@recipe_app.command("list")
def recipe_list() -> None:
    """The recipes of this project; a star marks the one in use.

    Example: [bold]headrace recipe list[/]
    """
    from headrace.project.recipes import list_recipes

    for recipe in list_recipes(_settings().project):
        typer.echo(f"{'*' if recipe.is_current else ' '} {recipe.name:<14} {recipe.summary}")


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

    settings = _settings()
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

    for line in new_stage(_settings().project, name, after=after):
        typer.echo(line)


@sources_app.command("refresh")
def sources_refresh(as_json: Json = False) -> None:
    """Look whether the sources changed (cheap marks first) and rewrite data/sources.lock if they did.

    Example: [bold]headrace sources refresh && headrace run[/]
    """
    from headrace.params import load_section
    from headrace.sources.fetch import refresh
    from headrace.sources.places import Places
    from headrace.stages.collect import Params

    settings = _settings()
    sources = load_section(settings.project / "params.yaml", "collect", Params).sources
    places = Places(settings.project, settings.downloads, settings.mirror, settings.download_budget_s)
    changes = refresh(sources, settings.project / "data" / "sources.lock", places)
    if as_json:
        _show([vars_of(change) for change in changes])
    else:
        for change in changes[:MAX_SHOWN_CHANGES]:
            typer.echo(f"{change.what:<8} {change.source}: {change.file}")
        if len(changes) > MAX_SHOWN_CHANGES:
            typer.echo(f"... and {len(changes) - MAX_SHOWN_CHANGES:,} more files")
        typer.echo("data/sources.lock is new: headrace run" if changes else "no source has changed")


@sources_app.command("list")
def sources_list(as_json: Json = False) -> None:
    """The files that data/sources.lock pins, with size, sha256 and where they come from.

    Example: [bold]headrace sources list[/]
    """
    from headrace.sources.snapshot import read_lock

    lock = read_lock(_settings().project / "data" / "sources.lock")
    if as_json:
        _show(lock.model_dump(mode="json"))
        return
    for entry in lock.sources:
        for file in entry.files:
            typer.echo(f"{entry.source['kind']:<8} {file.name:<32} {file.size:>12,} B  sha256 {file.sha256[:12]}  {file.url}")


@app.command()
def push() -> None:
    """Send outputs and run-cache to the remote, and see that all that dvc.lock needs is there.

    Example: [bold]headrace push[/]
    """
    from headrace.flow.transfer import push as send

    typer.echo(send(_settings(), lambda line: typer.echo(line, err=True)))


@app.command()
def pull() -> None:
    """Bring outputs and run-cache from the remote; each object is compared with its hash. Changed outputs are replaced.

    Example: [bold]headrace pull[/]
    """
    from headrace.flow.transfer import pull as bring

    typer.echo(bring(_settings(), lambda line: typer.echo(line, err=True)))


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

    typer.echo(add_remote(_settings(), url, name=name, endpoint=endpoint, shared=shared, create=create))


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
    from dataclasses import asdict

    from headrace.storage.audit import audit, lines

    found = audit(_settings(), sample=None if full else sample, repair=repair)
    if as_json:
        _show(asdict(found))
    else:
        for line in lines(found):
            typer.echo(line)
        if found.left and not repair:
            typer.echo("--repair stores them again from this machine's cache")
    raise typer.Exit(3 if found.left else 0)


@app.command()
def report(
    browse: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write reports/report.html anew and print its path.

    Example: [bold]headrace report --open[/]
    """
    from headrace.flow.page import write_page

    settings = _settings()
    write_page(settings, say=lambda line: typer.echo(line, err=True))
    path = settings.project / "reports" / "report.html"
    typer.echo(str(path))
    if browse:
        typer.launch(path.as_uri())


@app.command()
def register() -> None:
    """Register the package as challenger if the gate of `evaluate` allows it. A refusal prints its reasons; the exit code is 0.

    Example: [bold]headrace register[/]
    """
    from headrace.registry.operations import register_package

    _print_outcome(register_package(_settings(), say=typer.echo))


@app.command()
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

    _print_outcome(promote_challenger(_settings(), approve=approve))


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")],
    to: Annotated[int | None, typer.Option("--to", help="Version; default: the champion before this one.")] = None,
) -> None:
    """Make the previous champion, or another version, champion again.

    Example: [bold]headrace rollback --reason "wrong labels in last week's data"[/]
    """
    from headrace.registry.operations import roll_back

    _print_outcome(roll_back(_settings(), reason=reason, to=to))


@app.command()
def history(as_json: Json = False) -> None:
    """Who made which version champion, when and why, each look at a test set, and what is left of the year's error budget.

    Example: [bold]headrace history[/]
    """
    from headrace.registry.operations import budget_in_words, past

    settings = _settings()
    entries = past(settings)
    if as_json:
        _show(entries)
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


@app.command()
def trace(
    what: Annotated[str, typer.Argument(help="MODEL, MODEL@champion, MODEL/3, or a run id.")],
    as_json: Json = False,
) -> None:
    """Where a model came from: data, stages, commit, run and score, version, who made it champion and why.

    Examples: [bold]headrace trace digits@champion[/] · [bold]headrace trace digits/3 --json[/]
    """
    from headrace.registry.operations import trace_back

    found, text = trace_back(_settings(), what)
    if as_json:
        _show(found)
    else:
        typer.echo(text)


@app.command()
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

    for line in accept_change(_settings(), stages or [], reason):
        typer.echo(line)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine: packages, cache, stores, disk, and which precisions train fast here.

    Example: [bold]headrace doctor[/]
    """
    from headrace.project.doctor import examine

    checks = examine(_settings())
    if as_json:
        _show([vars_of(check) for check in checks])
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.is_ok else 'FAIL'} {check.name:<22} {check.found}")
    raise typer.Exit(0 if all(check.is_ok for check in checks) else 1)


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000) -> None:
    """Open the MLflow UI on the project's store.

    Example: [bold]headrace ui --port 5001[/]
    """
    from headrace.tracking.ui import serve

    with _terminated_like_ctrl_c():
        code = serve(_settings(), port, say=typer.echo)
    raise typer.Exit(code)


@app.command()
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

    bring_up(_settings(), with_object_store=object_store, detach=detach, say=typer.echo)


@app.command()
def down() -> None:
    """End what `headrace up` started. What is stored stays.

    Example: [bold]headrace down[/]
    """
    from headrace.services.operations import down as end_services

    ended = end_services(_settings(), say=typer.echo)
    typer.echo("what they stored stays; headrace up starts them again" if ended else "no service was running")


@app.command()
def ps(as_json: Json = False) -> None:
    """The services of this project: up, silent (alive without an answer) or down.

    Example: [bold]headrace ps[/]
    """
    from headrace.services.operations import rows
    from headrace.services.page import table

    found = rows(_settings())
    if as_json:
        _show([vars_of(row) for row in found])
    else:
        typer.echo(table(found) if found else "this project has no services yet: headrace up")


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="mlflow, prefect, worker or object-store; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added; Ctrl-C ends it.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Lines of each to begin with.")] = 50,
) -> None:
    """What the services wrote.

    Examples: [bold]headrace logs[/] · [bold]headrace logs worker --follow[/]
    """
    from headrace.services.logs import lines

    for line in lines(_settings(), service, last=last, follow=follow):
        typer.echo(line)
