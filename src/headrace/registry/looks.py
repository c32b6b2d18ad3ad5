"""How sure a comparison must be: each look at a test set spends of the year's budget for promoting what is no better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from headrace.registry.ledger import Entry

YEAR = timedelta(days=365)

NOTHING = 1e-9
"""Share of one look's part below which what is left of a budget is rounding."""


@dataclass(frozen=True, slots=True)
class Look:
    """One comparison that was counted."""

    time: datetime
    """Never before that of an earlier look: a clock that was set back gives no budget back."""
    spent: float
    """Highest p at which it would have promoted: the probability that it promoted what is no better is at most this."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one more look may spend."""

    number: int
    """Of the look in the running year, from 1."""
    allowed: float
    """A challenger is better when p is at most this; 0 when the budget of the year is spent."""
    left: float
    """Of the budget, before this look."""
    free_on: datetime | None
    """When the oldest look of the running year leaves it; None without one."""


def allowance(looks: Sequence[Look], now: datetime, *, error_budget: float, looks_per_year: int) -> Allowance:
    """Equal parts of the budget for each of `looks_per_year` looks, and nothing beyond the budget in any 365 days.

    Args:
        looks: earlier ones in the order of the ledger.
        now: of the clock; when the clock was set back, the latest look's time stands for it.
        error_budget: probability of promoting, within a year, any challenger that is no better.
        looks_per_year: how many looks the budget is for.
    """
    now = max([now, *(look.time for look in looks)])
    running = [look for look in looks if look.time > now - YEAR]
    part = error_budget / looks_per_year
    left = max(0.0, error_budget - math.fsum(look.spent for look in running))
    allowed = min(part, left)
    return Allowance(
        number=len(running) + 1,
        allowed=allowed if allowed > part * NOTHING else 0.0,
        left=left,
        free_on=min(look.time for look in running) + YEAR if running else None,
    )


def p_better(better: Any, worse: Any) -> Any:
    """Probability of at least so many records in favour, if challenger and champion were equally good: exact, numbers or arrays.

    Args:
        better: records that only the challenger has right.
        worse: records that only the champion has right.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages"; one-sided,
    exact: binomial over the records on which the two differ.
    """
    from scipy.stats import binom  # as long to import as all the rest of a rollback, which compares nothing

    return binom.sf(np.asarray(better) - 1, np.asarray(better) + np.asarray(worse), 0.5)


def is_better(better: Any, worse: Any, allowed: float) -> Any:
    """Whether the challenger is shown to be better at the level this look may spend: numbers or arrays."""
    return (p_better(better, worse) <= allowed) & (allowed > 0)


def looks_of(entries: Sequence[Entry], model: str) -> list[Look]:
    """The looks of a model at any test set, in the order of the ledger: a new test set gives no budget back."""
    latest = datetime.min.replace(tzinfo=UTC)
    found = []
    for entry in entries:
        latest = max(latest, datetime.fromisoformat(entry.time))
        if entry.action == "look" and entry.model == model:
            found.append(Look(latest, float(entry.evidence.get("allowed") or 0.0)))
    return found
