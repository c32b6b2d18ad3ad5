"""The report and the Data Docs of a project, made after the DAG from its reports."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headrace.evaluation.page.context import PageContext
from headrace.evaluation.report import write_report
from headrace.fingerprint import file_sha256
from headrace.flow.run import lock_digest
from headrace.params import read_yaml
from headrace.settings import Settings, git
from headrace.storage.local import write_text

PAGE = "reports/report.html"
DOCS = "reports/data-docs/index.html"
DOCS_MARK = "data-docs.sha256"
RESULTS = "reports/validation_results.json"


def write_page(
    settings: Settings,
    *,
    say: Callable[[str], Any],
    parents: Mapping[str, Sequence[str]] | None = None,
    lines: Mapping[str, str] | None = None,
) -> str:
    """Write reports/report.html and reports/data-docs/; returns the line for the terminal.

    Args:
        settings: of the project.
        say: prints one line.
        parents: the DAG, when DVC has just planned it.
        lines: what register and promote said, for the lineage.
    """
    project = settings.project
    render_data_docs(settings, project / RESULTS, say=say)
    fingerprint = _candidate(project)
    told = dict(lines or _told(settings))
    context = PageContext(
        title=str(_registered_name(project)),
        made_at=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        git_commit=git(project, "rev-parse", "HEAD"),
        git_dirty=bool(git(project, "status", "--porcelain", "--untracked-files=no")),
        lock_digest=lock_digest(project),
        mlflow_run=told.get("record", ""),
        model_version=told.get("promote") or told.get("register", ""),
        parents=dict(parents or {}),
        environment={"headrace": version("headrace"), "python": sys.version.split()[0], "threads": str(settings.thread_count)},
        facts={"fingerprint of the candidate": fingerprint} if fingerprint else {},
    )
    write_report(project, project / PAGE, context=context)
    return PAGE


def render_data_docs(settings: Settings, results: Path, *, say: Callable[[str], Any]) -> None:
    """Render validation results as a page, also those of a failed validation; Great Expectations is imported only if they are new."""
    if not are_docs_new(settings, results):
        return
    from headrace.validation.data_docs import render

    render(results, settings.project / DOCS)
    write_text(settings.local / DOCS_MARK, file_sha256(results))
    say(f"data docs: {DOCS}")


def are_docs_new(settings: Settings, results: Path) -> bool:
    """Whether there are validation results that the Data Docs do not show yet."""
    mark = settings.local / DOCS_MARK
    if not results.exists():
        return False
    if not (settings.project / DOCS).exists() or not mark.exists():
        return True
    return mark.read_text(encoding="utf-8") != file_sha256(results)


def _candidate(project: Path) -> str:
    path = project / "models" / "candidate" / "model.json"
    return str(json.loads(path.read_text(encoding="utf-8")).get("fingerprint", "")) if path.exists() else ""


def _registered_name(project: Path) -> str:
    return str((read_yaml(project / "params.yaml").get("register") or {}).get("model", project.name))


def _told(settings: Settings) -> dict[str, str]:
    try:
        steps = json.loads((settings.local / "steps.json").read_text(encoding="utf-8"))
        return {name: str(step.get("headline", "")) for name, step in steps.items()}
    except (OSError, ValueError, AttributeError):
        return {}
