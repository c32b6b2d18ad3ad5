"""What a person or the flow asks of tracking and registry, with everything read from the project's settings and files.

record -> register -> promote, in this order after the DAG; roll back, look back, trace whenever asked. Each is idempotent.
"""

import getpass
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.dagfile import locked_outs
from headrace.errors import ConfigError
from headrace.fingerprint import file_sha256
from headrace.params import load_section, read_yaml
from headrace.registry import ledger
from headrace.registry.champions import rollback
from headrace.registry.judgement import PromoteParams, Promotion, short
from headrace.registry.looks import allowance, looks_of
from headrace.registry.packages import trained_ids
from headrace.registry.publishing import shared_ledger
from headrace.registry.versions import RegisterParams, register
from headrace.settings import Settings, current_branch, git
from headrace.tracking.evidence import PROVENANCE, public, record_evaluation
from headrace.tracking.live import changes, gather_facts, lock_facts, store_of, suite_files

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Told:
    """What became of a command, for the terminal."""

    headline: str
    reasons: Sequence[str] = ()


def record(settings: Settings, *, say: Say) -> str:
    """Bring the MLflow run of the candidate up to date with the reports; the headline of it."""
    run_id = record_run(settings, say=say)
    return f"run {run_id[:8]} in experiment {settings.experiment}"


def record_run(settings: Settings, *, say: Say) -> str:
    """As `record`; returns the run's id.

    Raises:
        ConfigError: the candidate has not been evaluated yet.
    """
    project = settings.project
    evaluation = _read(project / "reports" / "evaluate.json")
    files = {f"{PROVENANCE}/{name}": path for name, path in _reproduces(project).items()}
    texts = {f"{PROVENANCE}/{CHANGES}": changes(project)}
    plots = project / "reports" / "plots"
    files |= {f"plots/{path.relative_to(plots).as_posix()}": path for path in sorted(plots.rglob("*.png"))}
    files |= {
        f"reports/{path.name}": path for path in sorted((project / "reports").glob("*.json")) if path.name not in OUTSIDE_DVC
    }
    return record_evaluation(
        store_of(settings),
        replace(gather_facts(settings), extra=lock_facts(project)),
        str(evaluation["fingerprint"]),
        evaluate=evaluation,
        files={name: path for name, path in files.items() if path.is_file()},
        texts={name: text for name, text in texts.items() if text},
        history=plots / "train" / "history.csv",
        spool=settings.local / "spool",
        say=say,
    )


REPRODUCES = ("params.yaml", "dvc.yaml", "dvc.lock", "data/sources.lock", "environment.json")
"""With the commit, the suites and the changes that no commit has: what a run was made from."""

CHANGES = "changes.diff"

OUTSIDE_DVC = ("timings.json", "promotion.json")
"""Reports that tell of this machine or of the registry: another checkout's would differ."""


def register_package(settings: Settings, *, say: Say) -> Told:
    """Make the package the challenger when the gate's verdict allows it; a refusal has its reasons."""
    project = settings.project
    params = _section(settings, "register", RegisterParams)
    facts = gather_facts(settings)
    provenance = {name: public(path.read_bytes()) for name, path in _reproduces(project).items()}
    if facts.is_dirty:
        provenance[CHANGES] = public(changes(project).encode())
    registration = register(
        store_of(settings),
        params,
        package=_there(project / "models" / "package", "package"),
        verdict=_read(project / "reports" / "evaluate.json")["verdict"],
        trained=trained_ids(project / "data" / "splits"),
        run_id=record_run(settings, say=say),
        lineage={
            "git.commit": facts.commit,
            "git.branch": facts.branch,
            "git.dirty": str(facts.is_dirty).lower(),
            "git.remote": _public_remote(git(project, "config", "--get", "remote.origin.url")),
            "environment": facts.environment,
            "prefect_run": facts.prefect_run,
            **_read_lock_entries(project),
            **lock_facts(project),
        },
        provenance=provenance,
        is_shared=settings.is_shared_registry,
        branch=current_branch(project),
        allowed_branches=[
            name.strip() for name in f"{settings.register_branches},{settings.state_branch}".split(",") if name.strip()
        ],
    )
    if registration.is_refused:
        return Told(f"{params.model}: not registered", registration.reasons)
    return Told(f"{params.model} version {registration.version}" + ("" if registration.is_new else ", already there"))


def promote_challenger(settings: Settings, *, approve: bool = False) -> Told:
    """Compare challenger and champion on the challenger's test split, and decide; writes reports/promotion.json.

    A candidate that the gate refused has no decision: that of an earlier one is removed.
    """
    # Here: Arrow and scipy.stats come with it, and whoever rolls back in an emergency waits for neither.
    from headrace.registry.promotion import Workspace, promote

    project = settings.project
    verdict = _read(project / "reports" / "evaluate.json")["verdict"]
    model = _section(settings, "register", RegisterParams).model
    report = project / "reports" / "promotion.json"
    if verdict.get("allowed") is not True:
        report.unlink(missing_ok=True)
        return Told(
            f"{model}: nothing to promote", ("The gate of `evaluate` refused the candidate; `headrace register` says why.",)
        )
    outcome = promote(
        store_of(settings),
        _section(settings, "promote", PromoteParams),
        model=model,
        workspace=Workspace(
            package=_there(project / "models" / "package", "package"),
            predictions=_there(project / "reports" / "predictions.parquet", "train"),
            test=_there(project / "data" / "splits" / "test", "split"),
            report=report,
            ledger=settings.ledger,
            cache=settings.state_home,
            project=project,
            shared=shared_ledger(settings),
        ),
        actor=_actor(settings),
        approve=approve,
    )
    return Told(_promotion_in_words(outcome), outcome.reasons if outcome.is_new else ())


def roll_back(settings: Settings, *, reason: str, to: int | None = None) -> Told:
    """Make the previous champion champion again."""
    model = _section(settings, "register", RegisterParams).model
    entry = rollback(
        store_of(settings),
        model=model,
        path=settings.ledger,
        cache=settings.state_home / "packages",
        actor=_actor(settings),
        reason=reason,
        to=to,
        shared=shared_ledger(settings),
    )
    return Told(f"{model}: version {entry.version} is champion again, in place of version {entry.previous_version}")


def refresh_ledger(settings: Settings) -> str:
    """Bring what other machines wrote into the ledger here; returns what a reader should know, '' when all is told."""
    shared = shared_ledger(settings)
    return shared.refresh() if shared is not None else ""


def past(settings: Settings) -> list[dict[str, Any]]:
    """The ledger's entries, oldest first, looks at a test set included; `refresh_ledger` comes first."""
    return [asdict(entry) for entry in ledger.read(settings.ledger)]


def budget_in_words(settings: Settings) -> str:
    """What is left of this year's error budget; empty where `params.yaml` promotes nothing by it."""
    if "promote" not in read_yaml(settings.project / "params.yaml"):
        return ""
    params = _section(settings, "promote", PromoteParams)
    model = _section(settings, "register", RegisterParams).model
    looks = looks_of(ledger.read(settings.ledger), model)
    now = allowance(looks, datetime.now(UTC), error_budget=params.error_budget, looks_per_year=params.looks_per_year)
    counted = f"{model}: {now.number - 1} look{'' if now.number == 2 else 's'} in the last 365 days"
    if params.require != "better":
        return f"{counted}; promote.require is {params.require}, which spends no error budget"
    after = f"the next may spend {short(now.allowed)}" if now.allowed else f"the next look is possible on {now.free_on:%Y-%m-%d}"
    return f"{counted}; {now.left:.3g} of the error budget of {params.error_budget:g} is left, {after}"


def _promotion_in_words(outcome: Promotion) -> str:
    if not outcome.is_new:
        return f"{outcome.model} version {outcome.challenger_version}: already champion"
    text = f"{outcome.model} version {outcome.challenger_version}: {outcome.decision}"
    if outcome.difference is not None and outcome.low is not None and outcome.high is not None:
        text += (
            f", {outcome.difference:+.4f} against version {outcome.champion_version} ({outcome.low:+.4f} to {outcome.high:+.4f})"
        )
    return text


def _public_remote(url: str) -> str:
    """A remote that others can reach; a folder of this machine tells nobody anything."""
    return url if re.match(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:", url) else ""


def _actor(settings: Settings) -> str:
    return git(settings.project, "config", "user.name") or getpass.getuser()


def _section(settings: Settings, name: str, section: Any) -> Any:
    return load_section(settings.project / "params.yaml", name, section)


def _read(path: Path) -> dict[str, Any]:
    _there(path, path.stem)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _there(path: Path, stage: str) -> Path:
    if not path.exists():
        raise ConfigError(f"{path} is not there: stage {stage} has not run. headrace run --stage {stage}")
    return path


def _reproduces(project: Path) -> dict[str, Path]:
    return {name: project / name for name in (*REPRODUCES, *suite_files(project)) if (project / name).is_file()}


def _read_lock_entries(project: Path) -> dict[str, str]:
    lock = project / "dvc.lock"
    found = {"dvc.lock": file_sha256(lock)} if lock.exists() else {}
    return found | {
        f"out.{path}": digest for path, digest in locked_outs(project).items() if path.startswith(("data/", "models/"))
    }
