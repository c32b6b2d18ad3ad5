"""Kinds of columns, in words."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from headrace.formats.kinds import add_file, kind_of, kinds, together


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "empty"),
        ("  ", "empty"),
        (3, "number"),
        (2.5, "number"),
        (Decimal("2.50"), "number"),
        ("-1e3", "number"),
        ("1,5", "text"),
        (True, "truth value"),
        ("2024-05-06", "time"),
        (datetime(2024, 5, 6, tzinfo=UTC), "time"),
        (b"\x00", "bytes"),
        ([1], "list"),
        ({"a": 1}, "object"),
        ("nan", "text"),
    ],
)
def test_a_value_has_one_kind(value, kind):
    """Csv knows text only, so a number spelled out counts as one; a word such as nan does not."""
    assert kind_of(value) == kind


def test_one_word_makes_a_column_of_numbers_text_and_a_blank_does_not():
    """A blank cell says nothing of its column."""
    assert kinds(["a", "b"], [["1", "2"], ["", "x"], ["3", "4"]]) == {"a": "number", "b": "text"}
    assert together("empty", "time") == "time"


def test_files_of_a_source_are_one_table():
    """A column that only the second file has belongs to the source."""
    given = {}
    add_file(given, "shop", {"a": "number", "b": "empty"})
    add_file(given, "shop", {"a": "text", "c": "number"})

    assert given == {"shop": {"a": "text", "b": "empty", "c": "number"}}
