"""Rows of a table on their way in, each with a number to predict: the column of kind `target`, which rests under that name."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import model_validator

from headrace.errors import ParamsError
from headrace.formats.record import RawRecord
from headrace.intake import _rows as rows
from headrace.intake._rows import make_rows, record_schema

__all__ = ["RecordOptions", "make_rows", "record_info", "record_schema", "settle"]


class RecordOptions(rows.RecordOptions):
    """The schema of the table; one column is of kind target."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        found = rows.targets_among(self)
        if len(found) != 1:
            named = f", found {len(found)}: {', '.join(found)}" if found else ""
            raise ValueError(f"one column needs kind: target, the number to predict{named}")
        return self


def settle(options: RecordOptions, raws: Sequence[RawRecord]) -> RecordOptions:
    """The options as they are, once the first rows have the columns that were declared, and no other.

    Raises:
        ParamsError: the format takes a column away as a label.
        DataError: a column is missing or not declared, or the format gives no rows.
    """
    if any(raw.label is not None for raw in raws):
        raise ParamsError(
            "collect.options.label names a class, and these records have a number each. Set it to null, and the column's kind in "
            "collect.record.columns to target."
        )
    rows.settle(options, raws)
    return options


def record_info(options: RecordOptions) -> dict[str, Any]:
    """The schema section for dataset.json, with the table's own name of the target."""
    return {**rows.record_info(options), "target": rows.targets_among(options)[0]}
