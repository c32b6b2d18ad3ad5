"""From the columns of a table as they stand to a first schema of them: what each is, its limits, and what a person should answer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.starting.cells import Column, first_counts, short
from headrace.starting.measured import limits

SIGNS_OF_NOTHING = ("NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "#N/A", "?")
"""Cells that stand for a missing value whatever the column."""
DEFAULT_SIGNS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""Those of collect.record.missing_values, when it is not written."""

MAX_VALUES = 20
"""Categories up to which the list of them is taken for complete."""
_EXACT = 2**53
_MOSTLY = 0.5
_SENSITIVE = {"age", "birth", "birthdate", "birthday", "disability", "ethnicity", "gender", "marital", "nationality"} | {
    "pregnant",
    "race",
    "religion",
    "senior",
    "sex",
}
_KEYS = {"id", "ids", "key", "nr", "no", "number", "uuid", "guid"}
_CODES = {"code", "zip", "zipcode", "postcode", "plz", "type", "region", "cluster"}
_MISSING_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass
class Schema:
    """A first guess at `collect.record.columns`."""

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    """What each was read off."""
    checks: list[str] = field(default_factory=list)
    """Questions that the cells cannot answer."""

    def leave_out(self, name: str, remark: str) -> None:
        """Drop a column, for this reason."""
        self.columns[name], self.remarks[name] = {"kind": "ignore"}, remark


def first_schema(columns: Sequence[Column], rows: int, cells: Mapping[str, Sequence[Any]]) -> Schema:
    """What the columns probably are.

    Args:
        columns: all but label and split.
        rows: of the table.
        cells: of each column.
    """
    schema = Schema()
    for column in columns:
        settings, remark = _declared(column)
        if any(isinstance(cell, Mapping | list | bytes) for cell in cells[column.name][:1000]):
            settings, remark = {"kind": "ignore"}, "lists, mappings or bytes, no single values"
        elif column.missing and settings["kind"] != "ignore":
            settings["max_missing"] = _allowed(column.missing / rows)
            remark += f"; {column.missing:,} of {rows:,} are missing"
        schema.columns[column.name], schema.remarks[column.name] = settings, remark
    schema.checks = list(_questions({column.name: column for column in columns}, schema.columns, rows))
    return schema


def _declared(column: Column) -> tuple[dict[str, Any], str]:
    """Its settings and what they were read off."""
    words = _words(column.name)
    match column.kind:
        case "empty":
            return {"kind": "ignore"}, "empty in every row"
        case "constant" if not column.missing:
            return {"kind": "ignore"}, f"{next(iter(column.counts))!r} in every row"
        case "id" if column.smallest is None or _counts_rows(column) or words & _KEYS or _is_long(column):
            return {"kind": "id"}, "a value of its own in every row"
        case "number" | "id" if (words & _KEYS and column.whole) or _is_long(column):
            return {"kind": "group"}, f"{column.distinct:,} numbers that come again, by its name no amount; never seen by a model"
        case "number" if column.counts and (column.distinct == 2 or words & _CODES):
            return _categories(column)
        case "number" | "id":
            return _numbers(column)
        case "date":
            written = {"written": column.written} if column.written else {}
            early = {"earliest": str(column.smallest)} if str(column.smallest) < "1900-01-01" else {}
            late = {"latest": str(column.largest)} if str(column.largest) > "2099-12-31" else {}
            return {"kind": "date", **written, **early, **late}, f"{column.smallest} to {column.largest}"
        case "category" | "constant":
            return _categories(column)
        case _:
            often = column.middle_words < 3 and column.decorated is None and 3 * column.distinct <= column.present
            if often:
                return _categories(column)
            return {"kind": "text"}, f"{column.distinct:,} different texts; never seen by a model"


def _numbers(column: Column) -> tuple[dict[str, Any], str]:
    lowest, highest = limits(float(column.smallest or 0), float(column.largest or 0), whole=column.whole)
    remark = f"{short(column.smallest)} to {short(column.largest)}, {short(column.middle)} in the middle; half and twice that"
    decimal = {"decimal": ","} if column.decimal == "," else {}
    return {"kind": "numeric", "min": lowest, "max": highest, **decimal}, remark


def _categories(column: Column) -> tuple[dict[str, Any], str]:
    if column.distinct > MAX_VALUES:
        return {"kind": "categorical"}, f"{column.distinct:,} different values; a new one is none of them, and goes on"
    return {"kind": "categorical", "values": sorted(column.counts)}, first_counts(column.counts, 4)


def _allowed(share: float) -> float:
    """Twice the share of missing cells, of many half of the way to all, and to the next step that a person would write."""
    return next((step for step in _MISSING_STEPS if min(2 * share, (1 + share) / 2) <= step), 1.0)


def _questions(columns: Mapping[str, Column], declared: Mapping[str, Mapping[str, Any]], rows: int) -> list[str]:
    asked: list[str] = []

    def ask(names: Sequence[str], words: str) -> None:
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            asked.append(f"{', '.join(names[:4])}{more}: {words}")

    for name, column in columns.items():
        if column.strange and declared[name]["kind"] == "numeric":
            ask(
                [name],
                f"{sum(column.strange.values()):,} cells are no numbers ({first_counts(column.strange, 3)}). Their records go to "
                "data/quarantine; where it means that there is no value, add it to collect.record.missing_values.",
            )
        if column.decorated:
            ask([name], f"numbers, written as {column.decorated!r}? They are no feature so. Write plain numbers into the data.")
        if column.written and "%d/%m" in column.written and not column.late_day:
            ask([name], f"read as day/month ({column.smallest} to {column.largest}). Is the month first? written: '%m/%d/%Y'.")
    of = {kind: [name for name, settings in declared.items() if settings["kind"] == kind] for kind in ("ignore", "group", "text")}
    ask(
        [name for name in of["ignore"] if columns[name].kind in ("constant", "empty")],
        "the same in every row, left out (kind: ignore).",
    )
    ask(of["group"], "do rows with one of these belong together? Then split: {by: group, group_column: ...}.")
    again = [name for name in of["text"] if _comes_again(columns[name])]
    ask(again, "some texts come again. Do such rows belong together (kind: group)? Is it a category (kind: categorical)?")
    local = [name for name, column in columns.items() if column.written and "%H" in column.written]
    ask(local, "times without a zone, taken as UTC.")
    ask(
        [name for name, column in columns.items() if column.kind != "empty" and column.missing > _MOSTLY * rows],
        "missing in more than half of the rows. Will it be there when the model is asked?",
    )
    ask(
        [name for name, settings in declared.items() if _words(name) & _SENSITIVE and settings["kind"] not in ("ignore", "id")],
        "about people? kind: sensitive keeps it from the model and reports the score over its values; slice: true only reports.",
    )
    ordered = [
        name
        for name, settings in declared.items()
        if 3 <= len(settings.get("values", ())) <= 10 and columns[name].kind == "category"
    ]
    ask(ordered, "do the values have an order? Then kind: ordinal, with order: from the lowest to the highest.")
    return asked


def _comes_again(column: Column) -> bool:
    """Whether these short texts may stand for something that several rows share."""
    return column.middle_words < 5 and column.distinct < column.present and column.decorated is None


def _words(name: str) -> set[str]:
    """'customerID' and 'customer_id' are {'customer', 'id'}."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _counts_rows(column: Column) -> bool:
    """Whether the numbers are those of rows: one after the other."""
    return float(column.largest or 0) - float(column.smallest or 0) < 1.1 * column.distinct


def _is_long(column: Column) -> bool:
    """Whether a float would not keep its digits."""
    return column.whole and max(abs(float(column.smallest or 0)), abs(float(column.largest or 0))) >= _EXACT
