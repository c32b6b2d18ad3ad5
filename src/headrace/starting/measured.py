"""What the intake of a task measures of the records, gathered: the numbers that `validate` will hold against the suite."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import DataError
from headrace.formats.record import RawRecord
from headrace.intake.records import FIRST_ROWS, class_names, in_chunks
from headrace.starting.cells import first_counts, short
from headrace.starting.contract import Rule

MIN_CLASS_RECORDS = 10
"""Below it a class cannot be split into three; the suites of our tasks say so, too."""
MAX_CLASSES = 1000


@dataclass(frozen=True)
class Measured:
    """Records after the intake."""

    rows: int
    classes: Mapping[str, int]
    """Records of each class that can be read, in the order of the labels."""
    faults: Mapping[str, int]
    """Records that cannot be read, by kind."""
    splits: Mapping[str, int]
    """Records by the split they come with, '' for none."""
    columns: Mapping[str, np.ndarray]
    """Columns of the records that can be read: label and measured numbers, or every one."""

    @property
    def bad(self) -> int:
        """Records that cannot be read."""
        return sum(self.faults.values())


def measure(
    read: Callable[[], Iterable[RawRecord]], intake: Any, options: Any, *, limit: int, what: str, every_column: bool = False
) -> Measured:
    """Read records as `collect` does, and keep what was measured of them.

    Args:
        read: starts the reader at the first record; called twice.
        intake: of the task.
        options: of one record, typed by the intake.
        limit: of records; the first ones are measured.
        what: the data, for messages.
        every_column: keep all of them, not only numbers; for records without a large payload.

    Raises:
        DataError: no record, or not two classes of enough records.
    """
    names = class_names(islice(read(), limit))
    if len(names) < 2:
        found = f"one class, {names[0]!r}," if names else "no class"
        raise DataError(f"{what}: every record has {found} and a classifier needs two. Is it the right column, or folder?")
    return measure_records(read, intake, options, names, limit=limit, every_column=every_column)


def measure_records(
    read: Callable[[], Iterable[RawRecord]], intake: Any, options: Any, names: Sequence[str], *, limit: int, every_column: bool
) -> Measured:
    """Read records of these classes, or of none where they have a number to predict, as `measure` does."""
    labels = {name: index for index, name in enumerate(names)}
    records = iter(islice(read(), limit))
    first = list(islice(records, FIRST_ROWS))
    settled = intake.settle(options, first)
    info = intake.record_info(settled)
    kept: list[pa.Table] = []
    faults: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    rows = 0
    for chunk in in_chunks(chain(first, records), info):
        table = intake.make_rows(chunk, labels, settled)
        rows += table.num_rows
        faults.update(_kind(fault) for fault in table["fault"].to_pylist() if fault)
        splits.update(table["split"].to_pylist())
        readable = table.filter(pa.array([not fault for fault in table["fault"].to_pylist()], pa.bool_()))
        kept.append(readable.select([field.name for field in readable.schema if every_column or _is_number(field.type)]))
    whole = pa.concat_tables(kept)
    columns = {name: whole[name].to_numpy() for name in whole.column_names}
    counts = np.bincount(columns["label"] + 1, minlength=len(names) + 1)[1:]  # -1 is a record without a class
    return Measured(rows, dict(zip(names, counts.tolist(), strict=True)), dict(faults.most_common()), dict(splits), columns)


def _kind(fault: str) -> str:
    """Of a fault, without the cell."""
    return "no label" if fault == "label: empty" else fault.partition(":")[0]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def check_classes(measured: Measured, what: str) -> list[str]:
    """What to look at in the classes.

    Raises:
        DataError: there are more classes than a classifier can learn from so many records.
    """
    readable = measured.rows - measured.bad
    small = [name for name, count in measured.classes.items() if count < MIN_CLASS_RECORDS]
    if len(measured.classes) - len(small) < 2:
        raise DataError(
            f"{what} has {len(measured.classes):,} values in {readable:,} records, and not two of them come {MIN_CLASS_RECORDS} times: "
            "these are no classes to learn. Is it the right column, or folder?"
        )
    if len(measured.classes) > MAX_CLASSES:
        raise DataError(f"{what} has {len(measured.classes):,} values, more than {MAX_CLASSES} classes. Is it the right column?")
    checks = []
    if small:
        named = ", ".join(f"{name!r}" for name in small[:5]) + (" and more" if len(small) > 5 else "")
        checks.append(
            f"{len(small)} of the classes ({named}) have fewer than {MIN_CLASS_RECORDS} records: `validate` will stop. Merge them in the "
            "data, bring more, or take them out of collect.classes (their records are then quarantined)."
        )
    largest, least = max(measured.classes.values()), min(measured.classes.values())
    if largest > 10 * max(least, 1):
        checks.append("Classes differ more than tenfold in size: look at the recall of each in the report, not at the accuracy.")
    return checks


def fault_checks(measured: Measured) -> list[str]:
    """What to look at in the records that cannot be read."""
    if not measured.bad:
        return []
    kinds = first_counts(measured.faults)
    return [f"{measured.bad:,} of {measured.rows:,} records cannot be read ({kinds}): they go to data/quarantine, with reasons."]


def bad_fraction(measured: Measured, suite_fails: int) -> tuple[float, str] | None:
    """A higher `validate.max_bad_fraction` where the present data needs one, in steps that a person would write."""
    share = (measured.bad + suite_fails) / max(measured.rows, 1)
    if share <= 0.008:
        return None
    allowed = next((step for step in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5) if share <= step * 0.8), 0.9)
    return allowed, f"{share:.1%} of the records are bad now; lower it when they are mended"


def rules(measured: Measured, suite: Sequence[Mapping[str, Any]]) -> tuple[list[Rule], int]:
    """The task's suite with its limits drawn in to what the data hold, and how many readable records the task's own limits refuse."""
    found, refused = [], 0
    for line in suite:
        column = str(line.get("column", ""))
        values = measured.columns.get(column)
        if column == "fault":
            found.append(Rule(line, f"{measured.bad:,} of {measured.rows:,} records could not be read."))
        elif column == "label" and "min_value" in line and "values_to_be_between" in str(line["expectation"]):
            found.append(Rule(line, f"The classes in collect.classes: {first_counts(measured.classes, 12)}."))
        elif column == "class_rows":
            least = min(measured.classes, key=lambda name: measured.classes[name])
            found.append(Rule(line, f"The smallest class, {least!r}, has {measured.classes[least]:,} records."))
        elif str(line["expectation"]) == "expect_table_row_count_to_be_between":
            found.append(Rule(line, f"These are {measured.rows:,}."))
        elif column == "target" and values is not None:
            found.append(Rule(line, f"It has {len(np.unique(values[~np.isnan(values)])):,} different values in these records."))
        elif values is None or not len(values) or line.get("severity"):
            found.append(Rule(line, "A rule of the task, whatever the data."))
        elif "value_set" in line:
            seen = sorted({value.item() for value in np.unique(values)})
            found.append(Rule({**line, "value_set": seen}, f"The values that occur in {column}."))
        elif str(line["expectation"]).endswith("values_to_be_between"):
            low, high = line.get("min_value"), line.get("max_value")
            outside = int(((values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))).sum())
            refused += outside
            found.append(_between(line, values, outside))
        else:
            found.append(Rule(line, "A rule of the task, whatever the data."))
    return found, refused


def limits(smallest: float, largest: float, *, whole: bool) -> tuple[float | int, float | int]:
    """Half the smallest and twice the largest value, rounded away from the data."""
    lowest = _round(smallest / 2 if smallest > 0 else smallest * 2, down=True, whole=whole)
    return lowest, _round(largest * 2 if largest > 0 else largest / 2, down=False, whole=whole)


def _between(line: Mapping[str, Any], values: np.ndarray, outside: int) -> Rule:
    """Half the smallest to twice the largest value, within the task's own limits."""
    smallest, middle, largest = (float(np.quantile(values, q)) for q in (0, 0.5, 1))
    low, high = line.get("min_value"), line.get("max_value")
    whole = bool(np.issubdtype(values.dtype, np.integer))
    lowest, highest = limits(smallest, largest, whole=whole)
    drawn = {
        "min_value": lowest if low is None else max(low, lowest),
        "max_value": highest if high is None else min(high, highest),
    }
    told = f"{short(smallest)} to {short(largest)} in these records, {short(round(middle, 2))} in the middle; half and twice that"
    if smallest == largest:
        told = f"{short(smallest)} in each of these records; half and twice that"
    if outside:
        told += f". {outside:,} of them are refused by the task's own limit"
    head = {key: value for key, value in line.items() if key not in ("min_value", "max_value", "reason")}
    reason = str(line.get("reason", ""))
    if not reason.endswith("out of range") and drawn != {"min_value": low, "max_value": high}:
        reason = f"number of {line['column']} out of range" if whole else f"{line['column']} out of range"
    return Rule({**head, **drawn, "reason": reason}, f"{told}.")


def _round(value: float, *, down: bool, whole: bool) -> float | int:
    """To two digits, away from the data."""
    if value == 0:
        return 0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = (math.floor if down else math.ceil)(round(value / step, 6)) * step
    return int((math.floor if down else math.ceil)(rounded)) if whole else float(f"{rounded:.6g}")
