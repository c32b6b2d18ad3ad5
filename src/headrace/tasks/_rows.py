"""Rows of a table: how typed columns at rest become numbers, and when two rows are the same.

Copied into every registered model of such a task, so that raw rows are answered without Headrace: it imports numpy and nothing of ours.
A raw row is a mapping of column names to values as a CSV file, a database or a JSON call gives them: text, numbers, dates or nothing.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

UNSEEN, MISSING = 0, 1
"""Numbers of a category that training did not have (or hardly ever), and of none at all."""

_FARTHEST = 8.0
"""Standard deviations from the mean at which a number is cut off: one wild value moves no prediction further."""

_DAY_S = 86_400.0

_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
"""1234,50 or 1.234,50, not 1234.50: a point that may be of thousands is not guessed at."""


def inputs(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Rows as mappings of their feature columns, object (N,): JSON values, as a caller would send them."""
    kept = [column for column in record["columns"] if column["feature"]]
    names = [str(column["name"]) for column in kept]
    columns = [table.column(str(column["column"])).to_pylist() for column in kept]
    found = np.empty(table.num_rows, dtype=object)
    for row in range(table.num_rows):
        found[row] = {name: _plain(column[row]) for name, column in zip(names, columns, strict=True)}
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def features(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Rows for classical models, object (N,) of mappings: numbers (also dates and ordered categories), or names of categories.

    A missing number is left out, and `NAME is missing` is 1 instead.
    """
    rows = inputs(table, record)
    missing = frozenset(record["missing_values"])
    kinds = [column for column in record["columns"] if column["feature"]]
    for place, row in enumerate(rows):
        found: dict[str, float | str] = {}
        for column in kinds:
            name = str(column["name"])
            if column["kind"] == "categorical":
                found[name] = _name(row[name], missing) or "missing"
            elif math.isnan(value := _to_number(row[name], column, missing)):
                found[f"{name} is missing"] = 1.0
            else:
                found[name] = value
        rows[place] = found
    return rows


def fit_encoding(
    parts: Iterable[np.ndarray],
    *,
    record: Mapping[str, Any],
    min_count: int,
    max_categories: int,
    fill: Literal["median", "mean", "zero"],
) -> dict[str, Any]:
    """What the rows of the training split teach, JSON values only.

    Args:
        parts: rows, some at a time.
        record: what dataset.json says of the columns.
        min_count: training rows below which a category counts as unseen, so that a network learns what unseen means.
        max_categories: categories of one column at most, the most frequent ones; equals by their letters.
        fill: what stands for a missing number; where training has missing ones, another number says that it was missing.

    Returns:
        `shape` (numbers, then the categories of each column), `numbers`, `categories`, `missing_values`, and `measured`.
    """
    missing = frozenset(record["missing_values"])
    specs = [dict(column) for column in record["columns"] if column["feature"]]
    values: dict[str, list[Any]] = {str(spec["name"]): [] for spec in specs}
    for part in parts:
        for spec in specs:
            values[str(spec["name"])] += _column(part, spec, missing)
    numbers, categories, lost, cells = [], [], 0, 0
    for spec in specs:
        found = values[str(spec["name"])]
        cells += len(found)
        if spec["kind"] == "categorical":
            counts = Counter(value for value in found if value is not None)
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            kept = [name for name, count in ranked[:max_categories] if count >= min_count]
            categories.append({"name": spec["name"], "values": kept})
            lost += sum(value is None for value in found)
        else:
            entry, empty = _fit_number(spec, np.asarray(found, np.float64), fill)
            numbers.append(entry)
            lost += empty
    width = sum(2 if entry["flag"] else 1 for entry in numbers)
    return {
        "shape": [width, *(len(entry["values"]) + 2 for entry in categories)],
        "missing_values": sorted(missing),
        "numbers": numbers,
        "categories": categories,
        "measured": {
            "rows": len(found) if specs else 0,
            "columns": len(specs),
            "missing_cells": round(lost / max(cells, 1), 6),
            "categories": sum(len(entry["values"]) for entry in categories),
        },
    }


def _fit_number(spec: Mapping[str, Any], values: np.ndarray, fill: str) -> tuple[dict[str, Any], int]:
    known = values[~np.isnan(values)]
    centre = 0.0 if fill == "zero" or not len(known) else np.median(known) if fill == "median" else known.mean()
    empty = len(values) - len(known)
    entry: dict[str, Any] = {
        "name": spec["name"],
        "kind": spec["kind"],
        "fill": float(centre),
        "mean": float(known.mean()) if len(known) else 0.0,
        "std": float(known.std()) or 1.0 if len(known) else 1.0,
        "flag": bool(empty),
    }
    return {**entry, **{key: spec[key] for key in ("order", "decimal", "written") if key in spec}}, empty


def encode(rows: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    """Rows as numbers, float32 (N, F): scaled numbers, then the number of each category.

    A scaled number is followed by whether it was missing, where training had such. A column that a row lacks is missing; whatever cannot
    be read counts as missing too.
    """
    missing = frozenset(encoding["missing_values"])
    columns: list[np.ndarray] = []
    for entry in encoding["numbers"]:
        values = np.asarray(_column(rows, entry, missing), np.float64)
        empty = np.isnan(values)
        scaled = (np.where(empty, entry["fill"], values) - entry["mean"]) / entry["std"]
        columns.append(np.clip(scaled, -_FARTHEST, _FARTHEST))
        if entry["flag"]:
            columns.append(empty.astype(np.float64))
    for entry in encoding["categories"]:
        places = {name: number for number, name in enumerate(entry["values"], start=2)}
        names = _column(rows, {**entry, "kind": "categorical"}, missing)
        columns.append(np.asarray([MISSING if name is None else places.get(name, UNSEEN) for name in names], np.float64))
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(rows), 0), np.float32)


def positions(encoding: Mapping[str, Any]) -> dict[str, list[int]]:
    """Where the numbers of each column stand in an encoded row."""
    found: dict[str, list[int]] = {}
    at = 0
    for entry in encoding["numbers"]:
        found[str(entry["name"])] = list(range(at, at + 1 + bool(entry["flag"])))
        at += 1 + bool(entry["flag"])
    for entry in encoding["categories"]:
        found[str(entry["name"])] = [at]
        at += 1
    return found


def _column(rows: Sequence[Mapping[str, Any]] | np.ndarray, spec: Mapping[str, Any], missing: frozenset[str]) -> list[Any]:
    name = spec["name"]
    if spec["kind"] == "categorical":
        return [_name(row.get(name), missing) for row in rows]
    return [_to_number(row.get(name), spec, missing) for row in rows]


def _to_number(value: Any, spec: Mapping[str, Any], missing: frozenset[str]) -> float:
    """A number, the days since 1970 of a date, or the place of an ordered category; NaN where there is none."""
    if spec["kind"] == "ordinal":
        name = _name(value, missing)
        return float(spec["order"].index(name)) if name in spec["order"] else math.nan
    if _is_nothing(value, missing):
        return math.nan
    try:
        if spec["kind"] == "date":
            moment = _moment(value, spec.get("written"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / _DAY_S
        number = float(_number_text(value, spec.get("decimal")))
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _moment(value: Any, written: str | None) -> datetime:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
    if written and isinstance(value, str):
        try:
            return datetime.strptime(text, written)  # noqa: DTZ007 - the caller takes it as UTC
        except ValueError:
            pass  # as records at rest and JSON have it
    return datetime.fromisoformat(text)


def _number_text(value: Any, decimal: str | None) -> Any:
    """A cell as float() reads it: of '1.234,50' with `decimal` ',' it is '1234.50', of what is not written so None; no text stays."""
    if decimal is None or not isinstance(value, str):
        return value
    return value.replace(".", "").replace(",", ".") if _DECIMAL_COMMA.fullmatch(value.strip()) else None


def _name(value: Any, missing: frozenset[str]) -> str | None:
    """The name of a category: 3, 3.0 and '3' are one."""
    if _is_nothing(value, missing):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _is_nothing(value: Any, missing: frozenset[str]) -> bool:
    if isinstance(value, str):
        return value.strip() in missing
    # NaN differs from itself; pandas has two more kinds of nothing.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def near_duplicate_keys(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """uint64 (N, 2): hashes of the first and of the second half of a row's features; rows that differ in one half share the other."""
    rows = inputs(table, record)
    keys = np.zeros((len(rows), 2), dtype=np.uint64)
    for place, row in enumerate(rows):
        cells = [repr(value) for value in row.values()]
        for half, part in enumerate((cells[: len(cells) // 2], cells[len(cells) // 2 :])):
            keys[place, half] = int.from_bytes(hashlib.blake2b("\n".join(part).encode(), digest_size=8).digest(), "big")
    return keys


def near_duplicate_profile(inputs: np.ndarray) -> np.ndarray:
    """float32 (N, 1) of zeros: no short vector of a row bounds in how many columns two of them differ."""
    return np.zeros((len(inputs), 1), dtype=np.float32)


def are_near_duplicates(left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the share of the feature columns in which two rows differ is at most `tolerance`: bool (N,)."""
    near = np.zeros(len(left), dtype=bool)
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        near[place] = sum(one[name] != other[name] for name in one) <= tolerance * max(len(one), 1)
    return near
