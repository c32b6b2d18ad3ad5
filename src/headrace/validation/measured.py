"""The measured columns of a data set as a frame the engine can judge; the payload stays on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_schema, read_table
from headrace.errors import ParamsError
from headrace.params import did_you_mean
from headrace.validation.profile import is_plain

ALWAYS = ("id", "label", "fault")

GONE = "If the data have it no longer, `headrace suite update` takes its rules out."


def read_measured(folder: Path, columns: Sequence[str], *, where: str) -> pd.DataFrame:
    """Columns of a data set, and id, label and fault always; the index is the position of the record.

    Infinite numbers become missing, so that one rule catches both; whole numbers with gaps stay whole (floats would lose digits).

    Args:
        folder: the data set.
        columns: what the suite reads.
        where: the suite, for messages.

    Raises:
        ParamsError: a column is absent, or is the payload.
    """
    schema, payload = read_schema(folder), read_info(folder).record.get("payload")
    measured = [field.name for field in schema if field.name != payload and is_plain(field.type)]
    for column in columns:
        if column not in schema.names:
            raise ParamsError(
                f"{where} names column '{column}', which the data set lacks.{did_you_mean(column, measured)} {GONE}"
            )
        if column not in measured:
            raise ParamsError(f"{where} names column '{column}', which holds payload, not a measure.{did_you_mean('', measured)}")
    table = read_table(folder, list(dict.fromkeys([*ALWAYS, *columns])))
    return pd.DataFrame({name: _to_series(table.column(name)) for name in table.column_names})


def _to_series(column: pa.ChunkedArray) -> Any:
    if pa.types.is_integer(column.type) and column.null_count:
        return column.to_pandas(types_mapper={column.type: pd.Int64Dtype()}.get)
    series = column.to_pandas()
    if pa.types.is_floating(column.type):
        series = series.where(np.isfinite(series))
    return series


def add_class_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with class_rows and class_ratio counted over its own records."""
    rows = frame.groupby("label")["label"].transform("size")
    return frame.assign(class_rows=rows, class_ratio=rows / max(rows.max(), 1) if len(rows) else rows.astype(float))
