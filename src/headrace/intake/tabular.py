"""Rows of a table on their way in, each with a class that `collect.options.label` names. What rows are stands in `_rows`."""

from typing import Self

from pydantic import model_validator

from headrace.intake import _rows as rows
from headrace.intake._rows import FEATURES, make_rows, record_info, record_schema, settle

__all__ = ["FEATURES", "RecordOptions", "make_rows", "record_info", "record_schema", "settle"]


class RecordOptions(rows.RecordOptions):
    """The schema of the table."""

    @model_validator(mode="after")
    def _class_is_a_label(self) -> Self:
        if found := rows.targets_among(self):
            raise ValueError(
                f"'{found[0]}' is of kind target, a number to predict, which the task tabular_regression does; a class is named by "
                "collect.options.label and is no column here"
            )
        return self
