"""What the columns of a data set look like: types, ranges, categories. The accepted one stands in git, in expectations/accepted.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.dataset.given_columns import GivenColumns, read_given_columns
from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_schema, read_table
from headrace.errors import ParamsError

MAX_CATEGORIES = 100
"""A column with more values than that holds no categories, and neither does one in which most values are different."""

LEFT_OUT = ("id", "origin", "fault")
"""Columns that are different for every record, or say that there is none."""

_EDGES = (0.0, 0.05, 0.5, 0.95, 1.0)


class ColumnProfile(BaseModel):
    """One column: a range for numbers, categories for words that repeat."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    """Arrow's name for it; 'class' for the label of a classification."""
    range: list[float] | None = None
    """Smallest value, 5 % quantile, median, 95 % quantile, largest value of a column of finite numbers."""
    categories: list[str] | None = None
    """All values of a column that has few, sorted."""


class Profile(BaseModel):
    """A data set's records that can be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    rows: int = 0
    sources: list[str] = []
    columns: dict[str, ColumnProfile] = {}
    given: GivenColumns = {}
    """Columns of tables as they came, per source, whether or not anything is made of them."""

    def to_json(self) -> str:
        """The file as it is written: a line for each column, so that a difference in git shows what changed."""
        content = self.model_dump(exclude_none=True)
        parts = {
            "format": _json(self.format),
            "rows": _json(self.rows),
            "sources": _json(self.sources),
            "columns": _block({name: _json(column) for name, column in content["columns"].items()}, 2),
            "given": _block({source: _block({k: _json(v) for k, v in its.items()}, 4) for source, its in self.given.items()}, 2),
        }
        return _block(parts, 0, ordered=False) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _block(members: Mapping[str, str], depth: int, *, ordered: bool = True) -> str:
    names = sorted(members) if ordered else list(members)
    lines = [f"{' ' * (depth + 2)}{_json(name)}: {members[name]}" for name in names]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}" if lines else "{}"


def read_accepted(path: Path) -> Profile:
    """The accepted profile; one without columns where nothing was accepted yet.

    Raises:
        ParamsError: the file is missing or is not one of ours.
    """
    mend = "`headrace suite update --write` writes it anew"
    try:
        return Profile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ParamsError(f'{path} does not exist: {mend}, or write {{"format": 1}} into it to begin with.') from None
    except (ValueError, ValidationError, RecursionError) as error:
        raise ParamsError(f"{path} cannot be understood ({' '.join(str(error).split())[:200]}): {mend}.") from None


def readable_columns(folder: Path) -> tuple[pa.Table, np.ndarray]:
    """The plain columns of a data set but those left out, of the records that can be read, and the positions of these.

    The label of a classification has the names of the classes.
    """
    info = read_info(folder)
    schema = read_schema(folder)
    payload = info.record.get("payload")
    wanted = [field.name for field in schema if field.name not in (payload, *LEFT_OUT) and is_plain(field.type)]
    table = read_table(folder, [*wanted, "fault"])
    positions = np.flatnonzero(np.asarray(pc.equal(table["fault"], "")))
    table = table.select(wanted).take(pa.array(positions))
    if info.classes:
        names = pa.array([*info.classes, None], pa.string())
        labels = np.asarray(table["label"])
        known = np.where((labels >= 0) & (labels < len(info.classes)), labels, len(info.classes))
        table = table.set_column(table.schema.get_field_index("label"), "label", names.take(pa.array(known)))
    return table, positions


def is_plain(kind: pa.DataType) -> bool:
    """Whether a column holds single values, and no payload."""
    return not (
        pa.types.is_nested(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or isinstance(kind, pa.BaseExtensionType)
    )


def measure(folder: Path, table: pa.Table) -> Profile:
    """The profile of a data set.

    Args:
        folder: the data set.
        table: as `readable_columns` returns.
    """
    has_classes = bool(read_info(folder).classes)
    columns = {name: _column(table[name], table.num_rows) for name in table.column_names}
    if has_classes:
        # A class of one record is a class: few records do not make it less of one.
        columns["label"] = ColumnProfile(type="class", categories=_distinct(table["label"]))
    return Profile(rows=table.num_rows, sources=_distinct(table["source"]), columns=columns, given=read_given_columns(folder))


def _column(values: pa.ChunkedArray, rows: int) -> ColumnProfile:
    kind = str(values.type)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return ColumnProfile(type=kind, range=_range(as_numbers(values)))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_boolean(values.type):
        distinct = _distinct(values)
        few = len(distinct) <= MAX_CATEGORIES and 2 * len(distinct) <= rows
        return ColumnProfile(type=kind, categories=distinct if few else None)
    return ColumnProfile(type=kind)


def as_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, float64 (N,), NaN where there is none."""
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def as_words(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of categories as text."""
    return pc.cast(values, pa.string())


def is_new(words: pa.ChunkedArray, known: Sequence[str]) -> pa.ChunkedArray:
    """Which words are none of those known, bool (N,); where there is none, nothing is new."""
    return pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, pa.array(known, pa.string()))))


def _distinct(values: pa.ChunkedArray) -> list[str]:
    return sorted(pc.unique(as_words(values).drop_null()).to_pylist())


def _range(numbers: np.ndarray) -> list[float] | None:
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    # Values that occur, never something between two: a range of whole numbers is one of whole numbers.
    return [float(edge) for edge in np.quantile(finite, _EDGES, method="inverted_cdf")]
