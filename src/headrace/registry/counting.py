"""Looks at a test set in the ledger: each comparison is counted once, whoever asks how often."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headrace.registry import ledger
from headrace.registry.judgement import PromoteParams, Promotion
from headrace.registry.looks import Allowance, allowance, looks_of
from headrace.registry.publishing import SharedLedger, publisher

SAME = ("champion_version", "require", "better", "worse", "records", "test_digest")
"""With the challenger's package: what makes two comparisons one look."""


def ask(path: Path, params: PromoteParams, asked: Promotion, package: str) -> tuple[Allowance, bool]:
    """What a comparison may spend, and whether the ledger has counted it; the caller holds the lock of the ledger.

    A comparison that was counted keeps what it was allowed then. One that could not be judged for want of budget is a new look
    as soon as there is some.
    """
    entries = ledger.read(path)
    fresh = allowance(
        looks_of(entries, asked.model), _now(), error_budget=params.error_budget, looks_per_year=params.looks_per_year
    )
    if params.require != "better":
        fresh = replace(fresh, allowed=0.0)  # 'not worse' makes no claim that the budget is for
    for entry in reversed(entries):
        if entry.action != "look" or entry.model != asked.model or entry.package != package:
            continue
        if any(entry.evidence.get(key) != getattr(asked, key) for key in SAME):
            continue
        allowed = float(entry.evidence["allowed"])
        if allowed or not fresh.allowed:
            return replace(fresh, number=int(entry.evidence["look"]), allowed=allowed), True
        break
    return fresh, False


def count(path: Path, outcome: Promotion, package: str, actor: str, shared: SharedLedger | None = None) -> None:
    """Write the look into the ledger; the caller holds its lock."""
    ledger.append(
        path,
        publish=publisher(shared),
        time=_now().isoformat(),
        action="look",
        model=outcome.model,
        version=outcome.challenger_version,
        previous_version=outcome.champion_version,
        package=package,
        actor=actor,
        reasons=outcome.reasons,
        evidence=outcome.model_dump(mode="json"),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
