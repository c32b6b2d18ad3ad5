"""A first look at a table with a number to predict: what each column is, how far the target spreads, and what a first model must reach."""

import math
from typing import Any

import numpy as np

from headrace.errors import DataError
from headrace.intake import tabular_regression as intake
from headrace.starting import _rows as rows
from headrace.starting.cells import Column, first_counts, short
from headrace.starting.columns import Table
from headrace.starting.contract import MAX_RECORDS, FirstLook, Request
from headrace.starting.measured import Measured, bad_fraction, fault_checks, limits, measure_records, rules
from headrace.starting.schema import first_schema
from headrace.starting.texts import base_suite
from headrace.validation.columns import variance_told_by

_MIN_RECORDS = 20
"""As the suite of the task has it."""
_FEW_NUMBERS = 10
"""Different values up to which a target is rather a class."""


def look(request: Request) -> FirstLook:
    """Infer format, columns, the target's range, limits and the size of a first training."""
    table = rows.read_rows(request, answer="number")
    target = _target(table, request)
    options = rows.options_of(table, request, label=None)
    columns = [column for column in table.columns if column.name not in (target.name, options.get("split"))]
    if not columns:
        raise DataError(f"{request.data} has no column beside '{target.name}': there is nothing to predict it from.")
    schema = first_schema(columns, table.rows, table.cells)
    schema.columns[target.name], schema.remarks[target.name] = _declared(target)
    settled = rows.record_options(rows.record_section(schema, table), request, intake)
    read = rows.reader_of(table, request, options)
    measured = measure_records(read, intake, settled, [], limit=MAX_RECORDS, every_column=True)
    known = ~np.isnan(measured.columns["target"])
    judged = {name: values[known] for name, values in measured.columns.items()}
    answer = rows.Answer(target.name, "target", variance_told_by, "its variance is told")
    checks = _about(target, table, judged["target"])
    checks += rows.leave_out_what_tells(schema, judged, intake.record_info(settled), answer)
    checks += [*fault_checks(measured), *rows.size_checks(measured, schema)]
    record = rows.record_section(schema, table)
    rows.record_options(record, request, intake)
    suite, refused = rules(measured, base_suite("tabular_regression"))
    changes = _judged(judged["target"], measured) | _training(len(judged["target"]))
    if allowed := bad_fraction(measured, refused + int((~known).sum())):
        changes["validate.max_bad_fraction"] = allowed
    spread = " to ".join(short(value) for value in (target.smallest, target.largest))
    found = [
        *rows.column_lines(table, schema, request, target.name),
        f"{measured.rows:,} rows, {target.name} from {spread}, {short(target.middle)} in the middle",
    ]
    collect = {"task": "tabular_regression", "format": table.format, "options": options, "record": record}
    return FirstLook(measured.rows, collect, "diabetes", changes, suite, found, checks, schema.remarks)


def _target(table: Table, request: Request) -> Column:
    numbers = [column for column in table.of_kind("number") if not column.counts]
    target = table.column(request.label, "--label", numbers)
    if target.decorated:
        raise DataError(
            f"column '{target.name}' holds numbers with signs around them, such as {target.decorated!r}. Write plain numbers into the data."
        )
    if target.smallest is None or target.kind not in ("number", "id"):
        raise DataError(
            f"column '{target.name}' holds no different numbers ({target.words()}), and this task predicts a number. To predict a class, "
            f"type --task tabular. The columns are\n{table.listing()}"
        )
    return target


def _declared(target: Column) -> tuple[dict[str, Any], str]:
    """The target's settings and what they were read off."""
    smallest, largest = float(target.smallest or 0), float(target.largest or 0)
    lowest, highest = limits(smallest, largest, whole=target.whole)
    decimal = {"decimal": ","} if target.decimal == "," else {}
    told = f"to predict: {short(smallest)} to {short(largest)}, {short(target.middle)} in the middle; half and twice that"
    return {"kind": "target", "min": lowest, "max": highest, **decimal}, told


def _about(target: Column, table: Table, known: np.ndarray) -> list[str]:
    """What to look at in the target.

    Raises:
        DataError: too few records have one.
    """
    if len(known) < _MIN_RECORDS:
        raise DataError(
            f"column '{target.name}' holds a number in {len(known):,} of {table.rows:,} records that can be read: fewer than "
            f"{_MIN_RECORDS} cannot be split. Bring more, or name another column. The columns are\n{table.listing()}"
        )
    checks = []
    if target.counts and target.distinct <= _FEW_NUMBERS:
        checks.append(
            f"{target.name} has {target.distinct} values only ({first_counts(target.counts)}). Are they classes? Then --task tabular."
        )
    if target.missing:
        checks.append(
            f"{target.missing:,} of {table.rows:,} rows have no {target.name}: they teach nothing and go to data/quarantine."
        )
    if target.strange:
        checks.append(
            f"{target.name}: {sum(target.strange.values()):,} cells are no numbers ({first_counts(target.strange, 3)}). Their records go "
            "to data/quarantine."
        )
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    if known.max() - middle > 20 * max(high - low, 1e-12):
        checks.append(
            f"{target.name} reaches {short(float(known.max()))}, and half of it lies from {short(float(low))} to {short(float(high))}. Is "
            "the largest right? max: quarantines what is above it."
        )
    return checks


def _judged(known: np.ndarray, measured: Measured) -> dict[str, tuple[Any, str]]:
    """A first gate: better than always saying the middle value, and not much worse than the best baseline."""
    middle = float(np.median(known))
    errors = np.abs(known - middle)
    error = float(errors.mean())
    test = measured.splits.get("test") or max(1, len(known) // 4)
    # Two equally good models whose errors differ by half as much as those of guessing: the paired interval reaches 1.96 of its
    # deviations beyond a difference that chance alone puts 1.64 of them above zero once in 20 times.
    margin = max(0.05 * error, 1.8 * float(errors.std()) / math.sqrt(test))
    changes: dict[str, tuple[Any, str]] = {
        "evaluate.thresholds.max_mae": (
            _rounded(0.9 * error),
            f"always saying {short(middle)} is wrong by {short(_rounded(error))} in the mean; lower it to what you need",
        ),
        "evaluate.thresholds.min_r2": (0.0, "always saying the mean reaches 0; raise it"),
        "evaluate.max_regression": (
            _rounded(margin),
            f"of the mean absolute error, above the best baseline: of {test:,} test records; an equal model passes in 19 of 20 cases",
        ),
        "promote.max_regression": (
            _rounded(margin / 2),
            "with not_worse: of the mean absolute error, above the champion, at the bound of the paired interval",
        ),
        "package.tolerance": (
            _rounded(1e-5 * float(np.abs(known).max())),
            "largest difference of a prediction between program and network: a hundred thousandth of the largest target",
        ),
    }
    if measured.splits.get("validation"):
        changes["split.validation"] = (0, "the data bring one")
    return changes


def _training(records: int) -> dict[str, tuple[Any, str]]:
    """A first training of seconds on two cores."""
    few = records < 3000
    return {
        "train.network_options": ({"hidden": [32] if few else [64, 32], "dropout": 0.2 if few else 0.1}, ""),
        "train.epochs": (max(5, min(60, round(600_000 / records))), f"{records:,} records; a choice to try"),
        "train.batch_size": (32 if few else 64 if records < 50_000 else 256, ""),
    }


def _rounded(value: float) -> float | int:
    """To two digits, as a person would write it."""
    rounded = float(f"{value:.1e}")
    return int(rounded) if rounded.is_integer() else rounded
