"""Rows of a table on their way in: every column is read as the type that `collect.record.columns` gives it, and rests as that type.

What a cell cannot be read as makes the record faulty; a blank is missing. Nothing is guessed: a column that is not declared is an error.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from headrace.errors import DataError
from headrace.formats.record import RawRecord
from headrace.params import Section, did_you_mean

_OWN = ("id", "label", "split", "source", "origin", "fault")
"""Columns that every record at rest has."""

TARGET = "target"
"""Name at rest of the column that is to be predicted, where that is a number."""

_PREDICTED = (TARGET, "predicted", "score")
"""Columns that stand beside the slices in reports/predictions.parquet, where there is a target."""

FEATURES = ("numeric", "categorical", "ordinal", "date")
"""Kinds that a model sees."""

_NUMBERS = ("numeric", "target")

_KEYS_OF_SOME_KINDS = (
    ("order", ("ordinal",)),
    ("values", ("categorical",)),
    ("min", _NUMBERS),
    ("max", _NUMBERS),
    ("decimal", _NUMBERS),
    ("written", ("date",)),
)

_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
"""As tasks/_rows.py has it, which imports nothing of ours, and is no dep of `collect`."""

_EXACT = 2**53
"""Above it not every whole number is a float."""


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no text: put quotes around them, as the cells write them")  # noqa: TRY004 - pydantic's way
    return str(value) if isinstance(value, int) else value


Name = Annotated[str, BeforeValidator(_no_boolean, json_schema_input_type=str | int)]


class Column(Section):
    """One column of the table."""

    kind: Literal["numeric", "categorical", "ordinal", "date", "text", "id", "group", "sensitive", "target", "ignore"]
    """numeric, categorical, ordinal and date are features. text, id, group (of a split) and sensitive rest beside them and are never
    seen by a model; target is the number to predict (a class is named by `collect.options.label` instead); ignore is dropped."""
    order: list[Name] | None = None
    """ordinal: the categories from the lowest to the highest."""
    values: list[Name] | None = None
    """categorical: the categories there are; a record of another one is quarantined. null: any."""
    min: float | None = None
    """numeric, target: a record below it is quarantined."""
    max: float | None = None
    decimal: Literal[","] | None = None
    """numeric, target: "," where cells are written as 1.234,50; null: as 1234.50."""
    earliest: str = "1900-01-01"
    """date: an earlier one, such as 0001-01-01, is a faulty record."""
    latest: str = "2099-12-31"
    written: str | None = None
    """date: how cells are written, such as "%d.%m.%Y" or "%Y-%m-%d %H:%M:%S"; a time without a zone is then taken as UTC. null: as
    2026-01-31, and a time must have a zone."""
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the records that may lack a value; validation reports how many do. 0: a record without one is quarantined."""
    slice: bool = False
    """Whether `evaluate` reports the score over the values of this column; of sensitive columns it always does."""

    @model_validator(mode="after")
    def _settings_are_used(self) -> Self:
        for key, kinds in _KEYS_OF_SOME_KINDS:
            if getattr(self, key) is not None and self.kind not in kinds:
                raise ValueError(f"{key} belongs to kind: {' or '.join(kinds)}, found kind: {self.kind}")
        if self.kind == "target" and self.max_missing:
            raise ValueError("max_missing is for features: a record without a target teaches nothing and is quarantined")
        if self.kind == "ordinal" and len(set(self.order or [])) < 2:
            raise ValueError("ordinal needs order, a list of at least two different categories from the lowest to the highest")
        for key in ("earliest", "latest"):
            date.fromisoformat(getattr(self, key))
        return self


class RecordOptions(Section):
    """The schema of the table."""

    columns: dict[str, Column] = Field(min_length=1)
    """Every column but label and split, by its name."""
    missing_values: list[str] = Field(default=["", "NA", "N/A", "NaN", "nan", "null", "NULL"])
    """Cells that mean that there is no value, after spaces around them were cut off; a blank cell always does."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        if not any(column.kind in FEATURES for column in self.columns.values()):
            raise ValueError(f"no column is a feature: give one the kind {', '.join(FEATURES)}")
        return self


def settle(options: RecordOptions, raws: Sequence[RawRecord]) -> RecordOptions:
    """The options as they are, once the first rows have the columns that were declared, and no other.

    Raises:
        DataError: a column is missing or not declared, or the format gives no rows.
    """
    found: dict[str, None] = {}
    for raw in raws:
        if raw.fault:
            continue
        if not isinstance(raw.payload, Mapping):
            raise DataError(
                f"{raw.origin}: the format gives a {type(raw.payload).__name__} a record, not a row. Leave collect.options.payload out."
            )
        found.update(dict.fromkeys(raw.payload))
    if not found:
        return options  # every one is faulty, which validate will say
    for name in found:
        if name not in options.columns:
            raise DataError(
                f"column '{name}' is not declared in collect.record.columns.{did_you_mean(name, options.columns)} Give it a kind; "
                "kind: ignore leaves it out."
            )
    for name in options.columns:
        if name not in found:
            raise DataError(
                f"collect.record.columns declares '{name}', which the data lack.{did_you_mean(name, found)} What collect.options.label "
                "names is no column here."
            )
    return options


def targets_among(options: RecordOptions) -> list[str]:
    """Names of the columns of kind target."""
    return [name for name, column in options.columns.items() if column.kind == "target"]


def _kept(options: RecordOptions) -> dict[str, Column]:
    return {name: column for name, column in options.columns.items() if column.kind != "ignore"}


def _at_rest(options: RecordOptions) -> dict[str, str]:
    """Names of the kept columns at rest: one that is a name of ours gets an underscore."""
    taken = {*_OWN, *(_PREDICTED if targets_among(options) else ())}
    return {
        name: TARGET if column.kind == "target" else f"{name}_" if name in taken else name
        for name, column in _kept(options).items()
    }


def _type(column: Column) -> pa.DataType:
    return pa.float64() if column.kind in _NUMBERS else pa.timestamp("us", "UTC") if column.kind == "date" else pa.string()


def record_schema(options: RecordOptions) -> pa.Schema:
    """id, label, split, source, origin, fault and the typed columns."""
    strings = [(name, pa.string()) for name in ("split", "source", "origin", "fault")]
    typed = [(name, _type(column)) for name, column in zip(_at_rest(options).values(), _kept(options).values(), strict=True)]
    return pa.schema([("id", pa.string()), ("label", pa.int64()), *strings, *typed])


def record_info(options: RecordOptions) -> dict[str, Any]:
    """The schema section for dataset.json: what encoding, validation and slices need of each column."""
    at_rest = _at_rest(options)
    columns = [
        {
            "name": name,
            "column": at_rest[name],
            "feature": column.kind in FEATURES,
            **column.model_dump(mode="json", exclude_none=True, exclude={"earliest", "latest", "slice"}),
        }
        for name, column in _kept(options).items()
    ]
    slices = [at_rest[name] for name, column in _kept(options).items() if column.slice or column.kind == "sensitive"]
    missing = sorted({"", *options.missing_values})
    return {"shape": [], "dtype": "columns", "columns": columns, "missing_values": missing, "slices": slices}


def make_rows(raws: Sequence[RawRecord], classes: Mapping[str, int], options: RecordOptions) -> pa.Table:
    """Read every cell; a row with one that cannot be read has `fault` set and no values."""
    columns, missing = _kept(options), frozenset({"", *options.missing_values})
    faults, rows = [], []
    for raw in raws:
        row: dict[str, Any] = {}
        fault = raw.fault or raw.label_fault(classes)
        if not raw.fault:
            try:
                row = {name: _read(raw.payload.get(name), name, column, missing) for name, column in columns.items()}
            except ValueError as reason:
                fault = str(reason)[:200]
        faults.append(fault)
        rows.append(row)
    arrays = [
        # Of all cells as they came: two customers who differ in nothing but their number are two records.
        pa.array([raw.make_id() for raw in raws], pa.string()),
        pa.array([-1 if raw.label is None else classes.get(raw.label, -1) for raw in raws], pa.int64()),
        pa.array([raw.split for raw in raws], pa.string()),
        pa.array([raw.source for raw in raws], pa.string()),
        pa.array([raw.origin for raw in raws], pa.string()),
        pa.array(faults, pa.string()),
        *(pa.array([row.get(name) for row in rows], _type(column)) for name, column in columns.items()),
    ]
    return pa.Table.from_arrays(arrays, schema=record_schema(options))


def _read(value: Any, name: str, column: Column, missing: frozenset[str]) -> Any:
    if isinstance(value, bytes | Mapping | list):
        raise ValueError(f"not a value: {name}: a {type(value).__name__}; a cell holds a number, a text or a date")  # noqa: TRY004
    text = value.strip() if isinstance(value, str) else value
    if text is None or (isinstance(text, str) and text in missing) or (isinstance(text, float) and math.isnan(text)):
        return None
    if isinstance(text, str) and text.startswith("=") and len(text) > 1:
        raise ValueError(f"formula: {name}: {text[:60]!r} is a formula of a spreadsheet, not its value; export values")
    if column.kind in _NUMBERS:
        return _read_number(text, name, column)
    if column.kind == "date":
        return _read_date(text, name, column)
    if isinstance(text, float) and text.is_integer():
        return str(int(text))  # as tables with blanks store whole numbers
    return str(text)


def _read_number(value: Any, name: str, column: Column) -> float:
    try:
        number = float(_with_a_point(value) if column.decimal and isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise ValueError(f"not a number: {name}: {str(value)[:60]!r}") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"not finite: {name}: {str(value)[:60]!r}")
    if abs(number) >= _EXACT and number.is_integer() and not (isinstance(value, str) and "e" in value.lower()):
        raise ValueError(f"not exact: {name}: {str(value)[:60]} has more digits than a number keeps; is it kind: id?")
    return number


def _with_a_point(text: str) -> str:
    if not _DECIMAL_COMMA.fullmatch(text):
        raise ValueError(text)
    return text.replace(".", "").replace(",", ".")


def _read_date(value: Any, name: str, column: Column) -> datetime:
    try:
        if column.written and not isinstance(value, date):
            moment = datetime.strptime(str(value), column.written)  # noqa: DTZ007 - UTC below
        else:
            moment = datetime.fromisoformat(value.isoformat() if isinstance(value, date) else str(value))
    except ValueError:
        form = column.written or "2026-01-31"
        raise ValueError(f"not a date: {name}: {str(value)[:60]!r} is not written as {form}") from None
    if moment.tzinfo is None and not column.written and (moment.hour or moment.minute or moment.second):
        raise ValueError(f"local time: {name}: {str(value)[:60]!r} has no zone, so it is not known which moment is meant")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not column.earliest <= moment.date().isoformat() <= column.latest:
        raise ValueError(f"date out of range: {name}: {str(value)[:60]} is not from {column.earliest} to {column.latest}")
    return moment.astimezone(UTC)
