"""What the Prefect UI shows of each stage: end state, cause, digest, duration, and links to the MLflow run and the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.runtime import flow_run

from headrace.dagfile import locked_outs
from headrace.flow.launcher import Stage
from headrace.flow.run import EndState, Run
from headrace.settings import Settings
from headrace.tracking.links import RunPage, find_run_page, publish

MAX_CAUSE_CHARS = 2000
CANDIDATE = "models/candidate"


@dataclass(frozen=True)
class StageFacts:
    """One stage, as it is shown."""

    name: str
    state: str
    cause: str
    seconds: float
    digests: dict[str, str]
    headline: str = ""
    error: str = ""
    run_url: str = ""
    report_url: str = ""

    @property
    def markdown(self) -> str:
        """A table of facts; the error below it."""
        rows = [
            ("end state", f"**{self.state}**"),
            ("cause", _cell(self.cause)),
            ("duration", f"{self.seconds:.1f} s"),
            *((f"`{path}`", f"`{digest}`") for path, digest in self.digests.items()),
        ]
        if self.headline:
            rows.insert(1, ("result", _cell(self.headline)))
        if self.run_url:
            rows.append(("MLflow", f"[run]({self.run_url})"))
        if self.report_url:
            rows.append(("report", f"[report.html]({self.report_url})"))
        table = "\n".join(f"| {key} | {value} |" for key, value in rows)
        text = f"# {self.name}: {self.state}\n\n| | |\n|---|---|\n{table}\n"
        return text + (f"\n```\n{self.error}\n```\n" if self.error else "")


class Shown:
    """The artifacts of one run: of each stage that did something, as it ends, and `summary` with all of them at the end.

    An unchanged stage has a line there only: its own page goes on to show the run that made what is there now.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._unlinked: dict[str, tuple[Stage, UUID]] = {}
        """Artifacts written before the candidate's run was recorded."""
        self._page: RunPage | None = None
        self.is_on = run.settings.prefect_api_url is not None
        """A temporary server has no page to show them on."""

    def stage(self, stage: Stage, *, error: str = "") -> None:
        """Write a stage's artifact, in its task."""
        outcome = self._run.outcomes.get(stage.name)
        if self.is_on and (outcome is None or outcome.state is not EndState.UNCHANGED):
            facts = self._facts(stage, error=error)
            made: Any = create_markdown_artifact(
                facts.markdown, key=key_of(stage.name), description=f"{stage.name}: {facts.state}"
            )
            if not facts.run_url and not error and self._concerns(stage):
                self._unlinked[stage.name] = (stage, made)

    def summary(self) -> None:
        """Write the run's artifact, a line for every stage and step; add links that were not known before."""
        if not self.is_on:
            return
        report = self._run.outcomes.get("report")
        if report is not None and report.state is EndState.RAN:
            self.publish_report()
        if self._unlinked and self.page is not None:
            with get_client(sync_client=True) as client:
                for stage, made in self._unlinked.values():
                    client.update_artifact(made, ArtifactUpdate(data=self._facts(stage, error="").markdown))
        digests = self._digests()
        lines = ["| stage | end state | duration | result | outputs |", "|---|---|---|---|---|"]
        for name, outcome in self._run.outcomes.items():
            # The page is narrow: data and models, without what reports on them.
            kept = [f"{path} `{digest[:8]}`" for path, digest in digests.get(name, {}).items() if not path.startswith("reports/")]
            outs = ", ".join(kept)
            lines.append(f"| {name} | {outcome.state.value} | {outcome.seconds:.1f} s | {_cell(outcome.headline)} | {outs} |")
        if self.page is not None:
            lines += ["", f"MLflow: [run]({self.page.url}) · report: [report.html]({self.page.report})"]
        create_markdown_artifact("\n".join(lines), key="run", description=f"every stage and step of {flow_run.name}")

    def publish_report(self) -> None:
        """Put the report on the MLflow server, so that its link works from anywhere."""
        report = self._run.settings.project / "reports" / "report.html"
        if self.is_on and self.page is not None and report.exists():
            publish(self._run.settings, self.page, report)

    @property
    def page(self) -> RunPage | None:
        """Of the MLflow run of the candidate; None until it is recorded."""
        if self._page is None:
            self._page = find_run_page(self._run.settings, fingerprint(self._run.settings))
        return self._page

    def _facts(self, stage: Stage, *, error: str) -> StageFacts:
        run = self._run
        outcome = run.outcomes.get(stage.name)
        state = outcome.state.value if outcome else "failed"
        page = self.page if state != "failed" and self._concerns(stage) else None
        return StageFacts(
            name=stage.name,
            state=state,
            cause=run.stale.get(stage.name, "nothing that it depends on has changed")[:MAX_CAUSE_CHARS],
            seconds=outcome.seconds if outcome else 0.0,
            digests={} if state == "failed" else self._digests()[stage.name],
            headline=outcome.headline if outcome else "",
            error=error,
            run_url=page.url if page else "",
            report_url=page.report if page else "",
        )

    def _digests(self) -> dict[str, dict[str, str]]:
        """Of each stage, its outputs in dvc.lock."""
        project = self._run.settings.project
        locked = locked_outs(project)
        return {
            stage.name: {path: digest for path, digest in locked.items() if project / path in stage.outs}
            for stage in self._run.plan.stages
        }

    def _concerns(self, stage: Stage) -> bool:
        """Whether the candidate's run tells of the stage: it trains the candidate, or works on it."""
        stages = {each.name: each for each in self._run.plan.stages}
        waiting, seen = [stage.name], set[str]()
        while waiting:
            name = waiting.pop()
            seen.add(name)
            if any(path == self._run.settings.project / CANDIDATE for path in stages[name].outs):
                return True
            waiting += [parent for parent in stages[name].parents if parent in stages and parent not in seen]
        return False


_of_run: dict[str, Shown] = {}


def shown(run: Run) -> Shown:
    """The artifacts of a run of this process; the same object for all of its tasks."""
    return _of_run.setdefault(run.token, Shown(run))


def key_of(stage: str) -> str:
    """A stage's key among the artifacts: Prefect allows small letters, digits and dashes; foreach stages have an @."""
    return "stage-" + "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in stage.lower())


def fingerprint(settings: Settings) -> str:
    """Of the present candidate, '' when there is none."""
    path: Path = settings.project / CANDIDATE / "model.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("fingerprint", ""))
    except (OSError, ValueError):
        return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
