"""Make git of this checkout call Headrace for dvc.lock, data/sources.lock and the ledger."""

from pathlib import Path

from headrace.errors import EngineError
from headrace.project.lock_merge import DRIVER, PATTERNS, driver_command
from headrace.state.git import Repository

TITLE = "Headrace: entry by entry"


def install(project: Path) -> list[str]:
    """Write the driver into the checkout's git configuration, and its files where .gitattributes does not name them.

    Returns:
        What was done, a line; empty when all was there, or this is no git checkout.
    """
    repository = Repository(project)
    place = repository.ask("rev-parse", "--git-path", "info/attributes")
    if place.code:
        return []
    done = False
    wanted = {"name": TITLE, "driver": driver_command()}
    for key, value in wanted.items():
        if repository.ask("config", "--local", "--get", f"merge.{DRIVER}.{key}").text != value:
            answer = repository.ask("config", "--local", f"merge.{DRIVER}.{key}", value)
            if answer.code:
                raise EngineError(f"git config failed in {project}: {answer.error}. The merge of dvc.lock is git's own then.")
            done = True
    missing = [each for each in PATTERNS if not repository.ask("check-attr", "merge", each).text.endswith(f": {DRIVER}")]
    if missing:
        path = project / place.text
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:  # git's own file of this checkout
            lines.writelines(f"{each} merge={DRIVER}\n" for each in missing)
        done = True
    return ["git merges dvc.lock and data/sources.lock entry by entry"] if done else []
