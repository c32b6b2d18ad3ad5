"""Accept a change that cannot alter a stage's outputs: DVC's commit, with the reason in the project's log."""

from datetime import UTC, datetime

from headrace.errors import ConfigError, EngineError
from headrace.flow import freshness
from headrace.flow.conductor import select
from headrace.flow.run import open_run
from headrace.settings import Settings, git
from headrace.storage.local import write_text

LOG = "docs/log.md"
HEADING = "## Accepted changes"


def accept(settings: Settings, stages: list[str], reason: str) -> list[str]:
    """Record the present inputs of stages as those of their present outputs.

    Args:
        settings: of the project.
        stages: their names; none means every stage that something has changed for.
        reason: why the change cannot alter the outputs.

    Returns:
        What was accepted, a line each.

    Raises:
        ConfigError: no such stage or no reason, nothing changed, or outputs are not those of the last run: then the stage has to run.
        EngineError: DVC refused.
    """
    if not reason.strip():
        raise ConfigError("--reason is empty. Say why the change cannot alter the outputs; it is kept in the project's log.")
    accepted: dict[str, list[str]] = {}
    with open_run(settings) as run:
        run.look()
        select(run.plan, stages)  # refuses unknown names
        wanted = [stage for stage in run.plan.stages if stage.changes and (not stages or stage.name in stages)]
        for stage in wanted:
            outs = [change.what for change in stage.changes if change.kind in ("out", "new")]
            if outs:
                raise ConfigError(
                    f"the outputs of {stage.name} are not those of its last run ({', '.join(outs)}): headrace run --stage {stage.name}"
                )
        if not wanted:
            raise ConfigError(
                f"nothing that {' or '.join(stages) or 'any stage'} depends on has changed: there is nothing to accept."
            )
        for stage in wanted:
            answer = run.launcher.perform("commit", lambda _: None, stage=stage.name)
            if "result" not in answer:
                raise EngineError(f"DVC did not accept {stage.name}: {answer.get('error', 'it was killed')}")
            accepted[stage.name] = [str(change) for change in stage.changes]
    _log(settings, accepted, reason.strip())
    freshness.forget(settings.local)
    lines = [f"accepted for {name}: {change}" for name, changes in accepted.items() for change in changes]
    return [*lines, f"recorded in {LOG}; commit it together with dvc.lock"]


def _log(settings: Settings, accepted: dict[str, list[str]], reason: str) -> None:
    path = settings.project / LOG
    text = path.read_text(encoding="utf-8") if path.exists() else "# Log\n"
    if HEADING not in text:
        text = text.rstrip() + f"\n\n{HEADING}\n"
    who = git(settings.project, "config", "user.name") or "unknown"
    changes = sorted({change for found in accepted.values() for change in found})
    day = datetime.now(UTC).date().isoformat()
    entry = f"- {day}, {who}: {', '.join(f'`{name}`' for name in accepted)} ({'; '.join(changes)}). {reason}"
    before, _, after = text.partition(HEADING)
    write_text(path, f"{before}{HEADING}\n\n{entry}\n{after.lstrip()}")
