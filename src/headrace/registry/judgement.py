"""What a comparison of challenger and champion leads to, and in which words."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from headrace.params import Report, Section
from headrace.registry.looks import Allowance, is_better, p_better

Decision = Literal["promoted", "kept", "awaiting approval", "refused"]


class Conditions(Section):
    """Section `promote.conditions` of params.yaml."""

    max_mb: Annotated[float, Field(gt=0)] | None = None
    """Of all files of the package; none: no limit."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Median time for one record, on the machine that promotes; none: no limit."""
    test_sets: dict[str, str] = Field(default_factory=dict)
    """Further test sets, such as `recent: data/recent`: name to a folder of records, from the project's folder, on which the challenger
    must not be shown to be worse."""
    max_regression: Annotated[float, Field(ge=0)] = 0.02
    """How far below 0 the lower bound of the paired difference in accuracy, or in the score where records
    have no classes, may lie on each of `test_sets`."""


class PromoteParams(Section):
    """Section `promote` of params.yaml."""

    mode: Literal["auto", "manual"] = "auto"
    """manual: a challenger that passes waits for `headrace promote --approve`."""
    require: Literal["better", "not_worse"] = "better"
    """better: shown to have the higher accuracy, within the year's error budget. not_worse: not shown to be worse, no budget."""
    error_budget: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """With require better: probability of promoting, within any year, a challenger that is no better."""
    looks_per_year: Annotated[int, Field(ge=1, le=1_000_000)] = 365
    """How many comparisons the budget is for; each may spend an equal part. Beyond them nothing is promoted until one is a year old."""
    max_regression: Annotated[float, Field(ge=0)] = 0.005
    """With require not_worse: how far below 0 the lower bound of the paired difference in accuracy, or in the score, may lie."""
    conditions: Conditions = Conditions()
    """Limits of size and latency, and further test sets."""
    resamples: Annotated[int, Field(ge=100, le=10_000_000)] = 10_000
    """Bootstrap samples of the interval."""
    seed: Annotated[int, Field(ge=0)] = 17
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of the interval, which decides only with require not_worse."""


class Promotion(Report):
    """reports/promotion.json: what was decided and why. It depends on the registry, so it is no output of the DAG."""

    model: str
    decision: Decision
    reasons: list[str]
    challenger_version: int
    champion_version: int | None
    """The champion it was compared with; None for the first model."""
    is_new: bool = True
    """False when the challenger was champion already: this is the decision that made it so, from the ledger."""
    difference: float | None = None
    """Accuracy of the challenger minus accuracy of the champion, on the records neither has seen."""
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    records: int = 0
    """Test records that were compared."""
    left_out: int = 0
    """Test records left out because the champion was trained on them."""
    challenger_correct: int = 0
    champion_correct: int = 0
    better: int = 0
    """Records that only the challenger has right."""
    worse: int = 0
    """Records that only the champion has right."""
    require: str = ""
    p: float | None = None
    """Probability of a result this good if the two were equally good: exact, one-sided McNemar."""
    look: int | None = None
    """Number of this comparison in the running year."""
    allowed: float = 0.0
    """What the look may spend of the year's error budget: better means p is at most this. 0 with require not_worse."""
    test_digest: str = ""
    fingerprint: str = ""
    """Of the candidate it was about, as in reports/evaluate.json: it says nothing of the next one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A comparison on the same records."""

    records: int
    better: int
    """Records that only the challenger has right."""
    worse: int
    """Records that only the champion has right."""
    low: float
    high: float
    mean_score: float | None = None
    """Of records that are scored, not right or wrong: mean score of the challenger minus that of the champion. `better` and `worse` are
    then the records on which one scores higher than the other."""

    @property
    def difference(self) -> float:
        """Accuracy (or mean score) of the challenger minus that of the champion."""
        return (self.better - self.worse) / self.records if self.mean_score is None else self.mean_score

    @property
    def measure(self) -> str:
        """What the difference is in."""
        return "accuracy" if self.mean_score is None else "mean score"

    @property
    def in_words(self) -> str:
        """The size of the difference."""
        size = abs(self.difference)
        return f"{size * 100:.2g} points" if self.mean_score is None else f"{size:.3g} of the mean score"

    @property
    def p(self) -> float:
        """Probability of a result this good if the two were equally good."""
        return float(p_better(self.better, self.worse))


def judge(params: PromoteParams, measured: Measured, look: Allowance, *, approve: bool) -> tuple[Decision, str]:
    """The decision on one comparison, and its reason."""
    if params.require == "better":
        passed, reason = _shown_better(params, measured, look)
    else:
        passed, reason = _not_worse(params, measured)
    if passed and params.mode == "manual" and not approve:
        return "awaiting approval", f"{reason} `headrace promote --approve`"
    return ("promoted" if passed else "kept"), reason


def _shown_better(params: PromoteParams, measured: Measured, look: Allowance) -> tuple[bool, str]:
    points = measured.in_words
    only = f"{measured.better} records right that the champion has wrong, {measured.worse} the other way"
    if measured.mean_score is not None:
        only = f"{measured.better} records score higher than with the champion, {measured.worse} the other way"
    if not look.allowed:
        when = f" The next look is possible on {look.free_on:%Y-%m-%d}." if look.free_on else ""
        return False, (
            f"The champion stays: the {look.number - 1} looks of this year have spent its error budget of {params.error_budget:g}."
            f"{when} ({only}.)"
        )
    test = f"p = {short(measured.p)}, allowed {short(look.allowed)} at look {look.number} of this year"
    if is_better(measured.better, measured.worse, look.allowed):
        return True, f"The challenger is better by {points}: {test} ({only})."
    if measured.better == measured.worse == 0:
        return False, f"The champion stays: the two are right on the same records (look {look.number} of this year)."
    standing = f"ahead by {points}" if measured.difference > 0 else f"behind by {points}" if measured.difference < 0 else "level"
    return False, f"The champion stays: the challenger is {standing}, not shown to be better: {test} ({only})."


def _not_worse(params: PromoteParams, measured: Measured) -> tuple[bool, str]:
    numbers = (
        f"difference in {measured.measure} {measured.difference:+.4f}, interval {measured.low:+.4f} to {measured.high:+.4f}, "
        f"max_regression {params.max_regression:g}"
    )
    # Written so that a NaN is never 'not worse'.
    if not measured.low >= -params.max_regression:
        return False, f"The challenger may be worse than the champion: {numbers}."
    return True, f"The challenger is {'better' if measured.low > 0 else 'not worse'} than the champion: {numbers}."


def short(probability: float) -> str:
    """Such as 0.031 or 2e-5."""
    if probability >= 1e-3 or probability == 0:
        return f"{probability:.2g}"
    mantissa, _, exponent = f"{probability:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
