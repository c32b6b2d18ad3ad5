"""What the columns of a query are: a name and an Arrow type each, decided by the database and never by the first rows."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy.engine import Connection

from headrace.errors import SourceError
from headrace.params import did_you_mean
from headrace.sources.spec import Sql
from headrace.sources.statements import table

MAX_COLUMNS = 10_000

# By PostgreSQL's own numbers for its types (select oid, typname from pg_type), which never change.
_ARROW: dict[int, Any] = {
    16: pa.bool_(),
    17: pa.binary(),
    18: pa.string(),
    19: pa.string(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1184: pa.timestamp("us", tz="UTC"),
    2950: pa.string(),
    1000: pa.list_(pa.bool_()),
    1005: pa.list_(pa.int16()),
    1007: pa.list_(pa.int32()),
    1009: pa.list_(pa.string()),
    1015: pa.list_(pa.string()),
    1016: pa.list_(pa.int64()),
    1021: pa.list_(pa.float32()),
    1022: pa.list_(pa.float64()),
}
_TEXTS = (18, 19, 25, 1042, 1043)
_NUMERIC, _NAIVE, _UUID = 1700, 1114, 2950
_MAX_DIGITS = 38
_CASTS = {
    _NAIVE: "it has no zone, so it is not known which moment is meant: (\"{}\" AT TIME ZONE 'UTC') if it is UTC",
    114: '"{}"::text',
    3802: '"{}"::text',
    1186: 'extract(epoch from "{}")',
    1266: '"{}"::time',
    1115: "it has no zone: an array of timestamptz",
}
_SQLITE = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result."""

    name: str
    quoted: str
    """As SQL writes it."""
    type: pa.DataType
    is_text: bool
    """Ordered by a collation, unless told otherwise."""
    is_uuid: bool = False

    def array(self, values: list[Any]) -> pa.Array:
        """Values of this column as Arrow has them.

        Raises:
            pa.ArrowException: one of them does not fit.
        """
        if self.is_uuid:
            values = [None if value is None else str(value) for value in values]
        return pa.array(values, type=self.type)


def columns_of(connection: Connection, source: Sql, query: str) -> list[Column]:
    """Names and types of what the query gives.

    Raises:
        SourceError: a name is missing or stands twice, `order_by` names none of them, or a type that Parquet cannot hold without loss.
    """
    asked = connection.execution_options(no_parameters=True).exec_driver_sql(table(query, end="LIMIT 0"))
    described = asked.cursor.description if asked.cursor is not None else ()
    names = [str(column[0]) for column in described]
    asked.close()
    if source.is_sqlite:  # which calls the second of two columns of one name id:1
        names = [
            name.rpartition(":")[0] if re.search(r":\d+$", name) and name.rpartition(":")[0] in names else name for name in names
        ]
    _check_names(names, source)
    quote = connection.dialect.identifier_preparer.quote_identifier
    if source.is_sqlite:
        types = _sqlite_types(connection, source, query, names)
        return [Column(name, quote(name), types[name], is_text=types[name] == pa.string()) for name in names]
    return [
        Column(name, quote(name), _postgres_type(column, source), is_text=column[1] in _TEXTS, is_uuid=column[1] == _UUID)
        for name, column in zip(names, described, strict=True)
    ]


def _check_names(names: list[str], source: Sql) -> None:
    where = f"source '{source.name}': the query"
    if len(names) > MAX_COLUMNS:
        raise SourceError(f"{where} gives {len(names):,} columns, more than {MAX_COLUMNS:,}. Pack them into an array.")
    for name, times in Counter(names).items():
        if not name.strip() or name == "?column?":
            raise SourceError(f"{where} gives a column without a name. Name it: ... AS length.")
        if times > 1:
            raise SourceError(f"{where} gives {times} columns named '{name}'. Name one of them otherwise: ... AS other.")
    for name in source.order_by:
        if name not in names:
            raise SourceError(f"{where} gives no column '{name}', which order_by names.{did_you_mean(name, names)}")


def _postgres_type(column: Any, source: Sql) -> pa.DataType:
    name, oid = str(column.name), int(column.type_code)
    if oid in _ARROW:
        return _ARROW[oid]
    if oid == _NUMERIC and column.precision and column.precision <= _MAX_DIGITS and 0 <= (column.scale or 0) <= column.precision:
        return pa.decimal128(column.precision, column.scale or 0)
    if oid == _NUMERIC:
        told = f'"{name}"::numeric(38, 9), or ::double precision where 16 digits are enough'
    else:
        told = _CASTS.get(oid, '"{}"::text').format(name)
    raise SourceError(
        f"source '{source.name}': column '{name}' is of type {column.type_display}, which Parquet does not hold as it is. Cast it in the "
        f"query: {told}."
    )


def _sqlite_types(connection: Connection, source: Sql, query: str, names: list[str]) -> dict[str, pa.DataType]:
    """SQLite types values, not columns: all values are asked for theirs."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    kinds = ", ".join(f"group_concat(DISTINCT typeof({quote(name)}))" for name in names)
    asked = connection.execution_options(no_parameters=True).exec_driver_sql(table(query, kinds))
    row = asked.fetchone() or ()
    found: dict[str, pa.DataType] = {}
    for name, listed in zip(names, row, strict=True):
        held = sorted(set((listed or "").split(",")) - {"null", ""})
        if held == ["integer", "real"]:
            held = ["real"]  # whole numbers that no float holds are refused when they come
        if len(held) > 1:
            raise SourceError(
                f"source '{source.name}': column '{name}' holds values of several types ({', '.join(held)}). Cast it in the query: "
                f'cast("{name}" as text).'
            )
        if listed and not held:
            raise SourceError(
                f"source '{source.name}': column '{name}' is NULL in every row, so it has no type. Leave it out of the query, or give "
                f"it one: coalesce(\"{name}\", '')."
            )
        found[name] = _SQLITE[held[0]] if held else pa.null()
    return found
