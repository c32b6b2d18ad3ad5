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
from headrace.flow.run import lock_digest
from headrace.params import read_yaml
from headrace.settings import Settings, git

PAGE = "reports/report.html"
DOCS = "reports/data-docs/index.html"


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
    render_data_docs(settings, project / "reports" / "validation_results.json", say=say)
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
    from headrace.fingerprint import file_sha256
    from headrace.storage.local import write_text

    if not results.exists():
        return
    mark = settings.local / "data-docs.sha256"
    digest = file_sha256(results)
    out = settings.project / DOCS
    if out.exists() and mark.exists() and mark.read_text(encoding="utf-8") == digest:
        return
    from headrace.validation.data_docs import render

    render(results, out)
    write_text(mark, digest)
    say(f"data docs: {DOCS}")


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
