"""What kind of values a column of a table holds, from its first rows: said in words, never used to convert anything."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

LOOKED_AT = 1000
"""Rows of a file that decide the kinds of its columns."""

EMPTY = "empty"

_WHOLE_OR_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def kind_of(value: Any) -> str:
    """empty, number, truth value, time, text, bytes, list or object; text that spells a number or an ISO 8601 time counts as one."""
    match value:
        case None:
            return EMPTY
        case bool():
            return "truth value"
        case int() | float() | Decimal():
            return "number"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case Mapping():
            return "object"
        case str():
            return _kind_of_text(value.strip())
        case date() | time():
            return "time"
    return type(value).__name__


def _kind_of_text(text: str) -> str:
    if not text:
        return EMPTY
    if _WHOLE_OR_DECIMAL.fullmatch(text):
        return "number"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return "text"
    return "time"


def together(first: str, second: str) -> str:
    """The kind of a column that holds both: a column of numbers with one word in it is text."""
    if first == second or second == EMPTY:
        return first
    return second if first == EMPTY else "text"


def kinds(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Kind of each column, over rows of as many values as there are names."""
    found = dict.fromkeys(names, EMPTY)
    for row in rows:
        for name, value in zip(names, row, strict=True):
            if found[name] != "text":  # nothing turns text into anything else
                found[name] = together(found[name], kind_of(value))
    return found


def add_file(given: dict[str, dict[str, str]], source: str, columns: Mapping[str, str]) -> None:
    """Put the columns of one more file of a source beside those of the files before."""
    known = given.setdefault(source, {})
    for name, kind in columns.items():
        known[name] = together(known.get(name, EMPTY), kind)
