"""The absolute gate: may this candidate be registered at all? A verdict is a result in a file, never a crash."""

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from headrace.errors import ParamsError
from headrace.evaluation.measures import ERRORS, write_difference, write_value
from headrace.evaluation.significance import Comparison
from headrace.evaluation.trainable import how_to_ship
from headrace.params import Report, did_you_mean

NOT_WORSE = "not_worse_than_best_baseline"
NOT_BEATEN = "not_beaten_by_trainable_baseline"


def check_sides(thresholds: dict[str, float]) -> dict[str, float]:
    """Refuse a threshold that does not say on which side of it the metric must lie."""
    for name in thresholds:
        if not name.startswith(("min_", "max_")):
            raise ValueError(f"threshold '{name}' must start with min_ or max_, such as min_accuracy")
    return thresholds


Thresholds = Annotated[dict[str, float], AfterValidator(check_sides)]
"""`min_<metric>` or `max_<metric>` to limit."""


class Check(Report):
    """One condition of the gate. `value` is None when the metric is undefined, and an undefined metric never passes."""

    name: str
    value: float | None
    threshold: float
    passed: bool


class Verdict(Report):
    """`allowed`: every check passed. `better`: the candidate is shown to beat the best baseline, which the gate does not ask."""

    allowed: bool
    better: bool
    reasons: list[str]
    checks: list[Check]


def reach_verdict(
    metrics: Mapping[str, float | None],
    thresholds: Mapping[str, float],
    best: Comparison | None,
    *,
    score: str,
    max_regression: float,
    rival: Comparison | None = None,
    trained: str = "",
    allow_beaten: bool = False,
) -> Verdict:
    """Check thresholds and the paired comparison with the best baseline.

    Args:
        metrics: what was measured; None for an undefined one.
        thresholds: `min_<metric>` and `max_<metric>` to limit.
        best: comparison with the best baseline; None when there is none to compare with.
        score: what is compared; a difference in an error is said without the score's minus.
        max_regression: how far below the best baseline the interval's lower bound may lie, in the unit of the score.
        rival: comparison with the best baseline that could be the candidate instead: where it is shown to be better, it is preferred.
        trained: what model.json says was trained, for the advice.
        allow_beaten: only the advice is given.

    Raises:
        ParamsError: a threshold for a metric that this evaluation does not measure.
    """
    checks, failures = [], []
    for name, limit in thresholds.items():
        side, _, metric = name.partition("_")
        if side not in ("min", "max") or metric not in metrics:
            known = [f"{bound}_{key}" for bound in ("min", "max") for key in metrics]
            raise ParamsError(f"params.yaml: unknown threshold 'evaluate.thresholds.{name}'.{did_you_mean(name, known)}")
        value = metrics[metric]
        if value is None or not math.isfinite(value):
            checks.append(Check(name=name, value=None, threshold=limit, passed=False))
            failures.append(f"{metric} is undefined on this test split, so {name} {limit:g} cannot be met.")
            continue
        passed = value >= limit if side == "min" else value <= limit
        checks.append(Check(name=name, value=value, threshold=limit, passed=passed))
        if not passed:
            failures.append(
                f"{metric} is {write_value(metric, value)}, {'below' if side == 'min' else 'above'} {name} {limit:g}."
            )
    if best is not None:
        passed = best.difference_low >= -max_regression
        checks.append(Check(name=NOT_WORSE, value=best.difference_low, threshold=-max_regression, passed=passed))
        if not passed:
            failures.append(
                f"It may be worse than {best.model}, the best baseline, by {write_value(score, -best.difference_low)} "
                f"({_describe(score, best)}); max_regression is {max_regression:g}."
            )
    if rival is not None and not allow_beaten:
        passed = rival.difference_high >= 0
        checks.append(Check(name=NOT_BEATEN, value=rival.difference_high, threshold=0.0, passed=passed))
        if not passed:
            failures.append(f"{rival.model}, which can be trained instead, is shown to be better ({_describe(score, rival)}).")
    better = best is not None and best.difference_low > 0
    passed_words = {0: "No check is configured.", 1: "The only check passed."}.get(
        len(checks), f"All {len(checks)} checks passed."
    )
    passed_note = [] if failures else [passed_words]
    return Verdict(
        allowed=not failures,
        better=better,
        reasons=[*failures, *passed_note, _compare_in_words(score, best, better), *_advice(rival, trained)],
        checks=checks,
    )


def name_winner(best: Comparison | None) -> str:
    """The baseline that does better than the candidate, for one line; '' where none does."""
    if best is None or best.difference >= 0:
        return ""
    return f"{best.model} {'wins' if best.difference_high < 0 else 'is ahead, within chance'}"


def _describe(score: str, row: Comparison) -> str:
    return write_difference(score, row.difference, row.difference_low, row.difference_high)


def _compare_in_words(score: str, best: Comparison | None, better: bool) -> str:  # noqa: FBT001 - private, one caller
    if best is None:
        return "There is no baseline to compare with."
    told = _describe(score, best)
    if better:
        return f"Better than {best.model}, the best baseline: {told}."
    if best.difference_high < 0:
        side = "above" if score in ERRORS else "below"
        return f"{best.model}, a baseline, wins: the candidate is worse, {told}, all of it {side} zero."
    if best.difference < 0:
        return f"{best.model}, the best baseline, has the better mean, within chance: {told}."
    if best.difference_low == best.difference_high == 0:
        return f"No better and no worse than {best.model}, the best baseline, on any test record."
    return f"Not shown to be better than {best.model}, the best baseline: {told}."


def _advice(rival: Comparison | None, trained: str) -> list[str]:
    """What to type where a baseline that can be trained does better."""
    if rival is None or rival.difference >= 0:
        return []
    told = how_to_ship(rival.model, trained, is_shown=rival.difference_high < 0)
    return [told] if told else []
