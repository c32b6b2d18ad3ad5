"""What a schema of typed columns (`record.columns` in dataset.json) asks of a data set, and which columns give the label away."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from headrace.errors import ValidationFailed
from headrace.validation.suite import Line, Suite

_BINS = 32
"""Parts that a column of numbers is cut into; as many records each as equal values allow."""


def with_columns(suite: Suite, record: Mapping[str, Any]) -> Suite:
    """The suite with the rules that the schema implies, after its own; unchanged where records have no columns."""
    lines = [line for column in record.get("columns", ()) for line in _lines(column)]
    return Suite(name=suite.name, lines=(*suite.lines, *lines))


def _lines(column: Mapping[str, Any]) -> list[Line]:
    name, at_rest, share = column["name"], {"column": column["column"]}, float(column["max_missing"])
    found: list[Line] = []

    def add(expectation: str, reason: str, severity: Any = "critical", **arguments: Any) -> None:
        found.append(Line(expectation=expectation, reason=reason, severity=severity, arguments={**at_rest, **arguments}))

    add("expect_column_values_to_not_be_null", f"{name} is missing", "warning" if share else "critical")
    if 0 < share < 1:
        add("expect_column_proportion_of_non_null_values_to_be_between", f"{name} is missing too often", min_value=1 - share)
    limits = {f"{key}_value": column[key] for key in ("min", "max") if key in column}
    if limits:
        add("expect_column_values_to_be_between", f"{name} is out of range", **limits)
    allowed = column.get("order") or column.get("values")
    if allowed:
        add("expect_column_values_to_be_in_set", f"{name} is no value of its schema", value_set=list(allowed))
    if column["feature"]:
        add("expect_column_unique_value_count_to_be_between", f"{name} is the same in every record", "warning", min_value=2)
    return found


def refuse_leaks(frame: pd.DataFrame, record: Mapping[str, Any], *, threshold: float) -> None:
    """Refuse a column that predicts the label alone: what it holds was written down after the label was known.

    Args:
        frame: measured columns of the records that go on.
        record: what dataset.json says of one record; without columns nothing is looked at.
        threshold: the share of the mistakes of always guessing the most frequent class that one column may avoid; of a number to
            predict, the share of its variance that one column may tell.

    Raises:
        ValidationFailed: names the columns.
    """
    columns = [column for column in record.get("columns", ()) if column["feature"]]
    if not columns:
        return
    is_number = "target" in record
    labels = frame["target" if is_number else "label"].to_numpy()
    tell = variance_told_by if is_number else told_by
    halves = np.array([ord(text[-1]) % 2 == 0 for text in frame["id"]], dtype=bool)  # ids are digests
    found = {str(column["name"]): tell(frame[column["column"]], labels, halves) for column in columns}
    leaks = sorted(((share, name) for name, share in found.items() if share > threshold), reverse=True)
    if leaks:
        named = ", ".join(f"'{name}' ({share:.1%})" for share, name in leaks)
        raise ValidationFailed(
            f"a column predicts the {'target' if is_number else 'label'} alone: {named} of "
            f"{'its variance is told' if is_number else 'the mistakes of guessing are avoided'} by it, more than "
            f"validate.max_told_by_one_column {threshold:.1%}. It was probably written down when that was known already. Set its "
            "kind to ignore in collect.record.columns, or raise the limit."
        )


def told_by(values: "pd.Series[Any]", labels: np.ndarray, halves: np.ndarray) -> float:
    """Share of the mistakes of guessing the most frequent class that are avoided by knowing one column, or only whether it has a value.

    Each half of the records (`halves`, bool) is judged by the other: a column of names, each of which occurs once, tells nothing.
    """
    missing = values.isna().to_numpy()
    present = _avoided(missing.astype(np.int64), labels, halves) if missing.any() else 0.0
    return max(present, _avoided(_codes(values), labels, halves))


def _avoided(codes: np.ndarray, labels: np.ndarray, halves: np.ndarray) -> float:
    right = guessed = 0
    for fitted, judged in ((halves, ~halves), (~halves, halves)):
        if not fitted.any():
            return 0.0
        usual = _most_frequent(labels[fitted])
        best = {code: _most_frequent(labels[fitted & (codes == code)]) for code in np.unique(codes[fitted])}
        predicted = np.array([best.get(code, usual) for code in codes[judged]], dtype=labels.dtype)
        right += int((predicted == labels[judged]).sum())
        guessed += int((labels[judged] == usual).sum())
    mistakes = len(labels) - guessed
    return max(0.0, (right - guessed) / mistakes) if mistakes else 0.0


def variance_told_by(values: "pd.Series[Any]", targets: np.ndarray, halves: np.ndarray) -> float:
    """Share of the variance of a number that is told by one column, from 0 to 1: by the means of its parts, each half by the other."""
    codes, is_ordered = _codes(values), _is_ordered(values)
    left = whole = 0.0
    for fitted, judged in ((halves, ~halves), (~halves, halves)):
        if not fitted.any():
            return 0.0
        usual = float(targets[fitted].mean())
        known = np.unique(codes[fitted])
        means = np.array([targets[fitted & (codes == code)].mean() for code in known], np.float64)
        # Parts of numbers stand in their order, so that what lies between two of them is between their means.
        predicted = np.interp(codes[judged], known, means)
        if not is_ordered:
            predicted = np.where(np.isin(codes[judged], known), predicted, usual)
        left += float(((targets[judged] - predicted) ** 2).sum())
        whole += float(((targets[judged] - usual) ** 2).sum())
    return max(0.0, 1 - left / whole) if whole else 0.0


def _is_ordered(values: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values))


def _codes(values: "pd.Series[Any]") -> np.ndarray:
    """A number for each value, or for each of the _BINS parts of a column of numbers or times; missing is -1."""
    missing = values.isna().to_numpy()
    if not _is_ordered(values):
        return np.where(missing, -1, pd.factorize(values)[0])
    numbers = values[~missing].astype("int64" if pd.api.types.is_datetime64_any_dtype(values) else "float64").to_numpy()
    codes = np.full(len(values), -1, dtype=np.int64)
    if len(numbers):
        edges = np.unique(np.quantile(numbers, np.arange(1, _BINS) / _BINS, method="lower"))
        # An edge that many records share is a part of its own: 0 and 1 are then two parts.
        codes[~missing] = np.searchsorted(edges, numbers, side="left") + np.searchsorted(edges, numbers, side="right")
    return codes


def _most_frequent(labels: Sequence[int] | np.ndarray) -> int:
    found, counts = np.unique(labels, return_counts=True)
    return int(found[counts.argmax()])
