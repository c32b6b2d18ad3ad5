"""Limits that are taken from the data."""

import numpy as np
import pytest

from headrace.errors import DataError
from headrace.formats.record import RawRecord
from headrace.intake import text_classification as intake
from headrace.starting.measured import Measured, bad_fraction, check_classes, measure, rules


def texts(*records: tuple[str, str | None]) -> list[RawRecord]:
    return [RawRecord(text, label, "", "s", f"s:{n}") for n, (text, label) in enumerate(records)]


def measured_of(words: list[int], **classes: int) -> Measured:
    return Measured(len(words), classes or {"a": 20, "b": 20}, {}, {}, {"words": np.array(words, np.int64)})


def line(**bounds: float) -> dict[str, object]:
    return {"expectation": "expect_column_values_to_be_between", "column": "words", **bounds, "reason": "no word"}


def test_limits_are_half_the_smallest_and_twice_the_largest():
    """Next month's data are a little different, and not wrong."""
    found, refused = rules(measured_of([10, 30, 60]), [line(min_value=1)])

    assert (found[0].body["min_value"], found[0].body["max_value"], refused) == (5, 120, 0)
    assert found[0].taken_from == "10 to 60 in these records, 30 in the middle; half and twice that."
    assert found[0].body["reason"] == "number of words out of range"


def test_the_limits_of_the_task_are_never_widened():
    """A table full of empty texts must not teach that empty texts are right."""
    found, refused = rules(measured_of([0, 30, 900]), [line(min_value=1, max_value=500)])

    assert (found[0].body["min_value"], found[0].body["max_value"], refused) == (1, 500, 2)
    assert "2 of them are refused" in found[0].taken_from


def test_what_is_measured_is_what_collect_measures():
    """The suite is about the numbers that `validate` sees."""
    records = texts(("one two", "a"), ("three", "b"), ("", "a"))
    found = measure(lambda: records, intake, intake.RecordOptions(), limit=10, what="x")

    assert (found.rows, found.bad, found.classes) == (3, 1, {"a": 1, "b": 1})
    assert found.columns["words"].tolist() == [2, 1]


def test_one_class_is_refused():
    with pytest.raises(DataError, match="one class, 'a', and a classifier needs two"):
        measure(lambda: texts(("one", "a"), ("two", "a")), intake, intake.RecordOptions(), limit=10, what="x")


def test_labels_that_hardly_repeat_are_no_classes():
    counts = {f"user{number}": 2 for number in range(40)}

    with pytest.raises(DataError, match="these are no classes to learn"):
        check_classes(Measured(80, counts, {}, {}, {}), "column 'user'")


def test_a_small_class_is_named_before_validate_stops_for_it():
    told = check_classes(measured_of([1] * 300, a=295, b=200, rare=3), "x")

    assert "'rare'" in told[0]
    assert "tenfold" in told[1]


def test_the_bad_records_of_today_are_let_through_with_a_reason():
    """Else the first run stops for what init has seen already."""
    found = Measured(100, {"a": 48, "b": 48}, {"label": 4}, {}, {})

    assert bad_fraction(found, 0) == (0.05, "4.0% of the records are bad now; lower it when they are mended")
    assert bad_fraction(measured_of([1] * 100), 0) is None
