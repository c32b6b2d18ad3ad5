"""What each figure of a classifier shows, in a sentence: the title says what is seen, not what kind of chart it is."""

from collections.abc import Sequence
from typing import Any

from headrace.evaluation.significance import Comparison


def roc_title(per_class: Sequence[dict[str, Any]], mean: float | None) -> str:
    """The mean area and the class that lowers it."""
    return _area_title(per_class, mean, "roc_auc", "ROC AUC", "One class against the rest")


def pr_title(per_class: Sequence[dict[str, Any]], mean: float | None) -> str:
    """The mean average precision and the class that lowers it."""
    return _area_title(per_class, mean, "average_precision", "average precision", "Precision holds as recall grows")


def _area_title(per_class: Sequence[dict[str, Any]], mean: float | None, key: str, name: str, lead: str) -> str:
    defined = [row for row in per_class if row[key] is not None]
    if mean is None or not defined:
        return f"{name} is undefined on this test split"
    worst = min(defined, key=lambda row: row[key])
    if worst[key] == 1:
        return f"Every class is ranked without an error: {name} 1"
    if mean < 0.9:
        lead = "Classes overlap"
    return f"{lead}: mean {name} {area(mean)}, lowest for '{worst['class']}' ({area(worst[key])})"


def calibration_title(ece: float, mean_confidence: float, accuracy: float) -> str:
    """Whether the model is surer than it is right."""
    gap = 100 * (mean_confidence - accuracy)
    if abs(gap) < 0.05:
        return f"Confidence matches accuracy on average ({_percent(mean_confidence)}); calibration error {_percent(ece)}"
    side = "more" if gap > 0 else "less"
    return f"The model is {abs(gap):.1f} points {side} confident than it is right; calibration error {_percent(ece)}"


def confusion_title(pairs: Sequence[dict[str, Any]], mistakes: int, records: int) -> str:
    """The most frequent confusion."""
    if mistakes == 0:
        return f"No mistake in {records} test records"
    if not pairs:
        return f"{mistakes} mistakes in {records} test records"
    top = pairs[0]
    return (
        f"'{top['label']}' is taken for '{top['predicted']}' in {top['count']} of {top['of']} cases, {mistakes} mistakes in all"
    )


def digits_for(records: int) -> int:
    """Digits after the point of a percentage that so many records can tell apart."""
    return 1 if records < 1000 else 2


def area(value: float) -> str:
    """Four digits, never rounded up to a perfect 1."""
    return f"{value if value == 1 else min(value, 0.9999):.4f}"


def comparison_title(comparison: Sequence[Comparison], score_name: str, records: int) -> str:
    """The candidate against the best baseline, in points."""
    if not comparison:
        return "There is no baseline to compare with"
    best, digits = comparison[0], digits_for(records)
    mean, low, high = (f"{100 * value:+.{digits}f}" for value in (best.difference, best.difference_low, best.difference_high))
    interval = f"{mean} points, interval {low} to {high}"
    if best.difference_low > 0:
        return f"The candidate beats {best.model}, the best baseline: {interval}"
    if best.difference_high < 0:
        return f"The candidate is worse than {best.model}, the best baseline: {interval}"
    return f"The candidate and {best.model}, the best baseline, differ within chance in {score_name}: {interval}"


MAX_CLASSES_DRAWN = 25
"""Rows of the recall figure: the classes that are recognised least."""


def per_class_title(per_class: Sequence[dict[str, Any]]) -> str:
    """The class that is recognised least."""
    defined = [row for row in per_class if row["recall"] is not None]
    if not defined:
        return "No class has test records"
    worst = min(defined, key=lambda row: row["recall"])
    if worst["recall"] == 1:
        return "Every record of every class is recognised"
    shown = f"; the {MAX_CLASSES_DRAWN} lowest of {len(defined)} classes" if len(defined) > MAX_CLASSES_DRAWN else ""
    return f"'{worst['class']}' is recognised least: recall {_percent(worst['recall'])} of {worst['support']} records{shown}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


MAX_COLUMNS_DRAWN = 20
"""Bars of the importance figure: the columns that matter most."""


def importance_title(importance: Sequence[dict[str, Any]]) -> str:
    """The column that the model relies on most, and how many it could do without."""
    idle = sum(row["loss_increase"] <= 2 * row["deviation"] for row in importance)
    rest = f"; {idle} of {len(importance)} columns could be shuffled without harm" if idle else ""
    return f"The model relies on '{importance[0]['column']}' most{rest}"
