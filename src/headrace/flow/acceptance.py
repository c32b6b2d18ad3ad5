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


def accept(settings: Settings, stage: str, reason: str) -> list[str]:
    """Record the stage's present inputs as those of its present outputs.

    Returns:
        What was accepted, a line each.

    Raises:
        ConfigError: no such stage or no reason, nothing changed, or the outputs are not those of the last run: then the stage has to run.
        EngineError: DVC refused.
    """
    if not reason.strip():
        raise ConfigError("--reason is empty. Say why the change cannot alter the outputs; it is kept in the project's log.")
    with open_run(settings) as run:
        run.look()
        found = next(each for each in select(run.plan, [stage]).stages if each.name == stage)
        outs = [change.what for change in found.changes if change.kind in ("out", "new")]
        if outs:
            raise ConfigError(
                f"the outputs of {stage} are not those of its last run ({', '.join(outs)}): headrace run --stage {stage}"
            )
        if not found.changes:
            raise ConfigError(f"nothing that {stage} depends on has changed: there is nothing to accept.")
        answer = run.launcher.run(run.launcher.start("commit", stage=stage), lambda _: None)
        if "result" not in answer:
            raise EngineError(f"DVC did not accept {stage}: {answer.get('error', 'it was killed')}")
    changes = [str(change) for change in found.changes]
    path = settings.project / LOG
    text = path.read_text(encoding="utf-8") if path.exists() else "# Log\n"
    if HEADING not in text:
        text = text.rstrip() + f"\n\n{HEADING}\n"
    who = git(settings.project, "config", "user.name") or "unknown"
    entry = f"- {datetime.now(UTC).date().isoformat()}, {who}: `{stage}` ({'; '.join(changes)}). {reason.strip()}"
    before, _, after = text.partition(HEADING)
    write_text(path, f"{before}{HEADING}\n\n{entry}\n{after.lstrip()}")
    freshness.forget(settings.local)
    return [f"accepted for {stage}: {change}" for change in changes] + [f"recorded in {LOG}; commit it together with dvc.lock"]
