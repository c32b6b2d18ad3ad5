"""Splits by time."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset.splits import DROPPED, TEST, TRAIN, VALIDATION
from headrace.dataset.time_split import TimeConfig, assign_by_time, parse_instant, to_instants
from headrace.errors import DataError, ParamsError

DAY = 86_400_000_000


def config(**values):
    return TimeConfig(column="t", **{"validation_from": "1970-01-11T00:00:00Z", "test_from": "1970-01-21T00:00:00Z", **values})


def test_cutoffs_and_embargo_divide_time():
    """The embargo lies before each cutoff; the cutoff itself belongs to what follows."""
    days = [0, 7, 8, 9, 10, 17, 18, 19, 20, 99]
    splits = assign_by_time(np.array(days) * DAY, config(embargo_days=2))

    assert splits.tolist() == [TRAIN, TRAIN, DROPPED, DROPPED, VALIDATION, VALIDATION, DROPPED, DROPPED, TEST, TEST]


def test_text_and_timestamps_agree():
    """A CSV has text, Parquet has timestamps."""
    text = pa.chunked_array([["1970-01-02T00:00:00Z", "1970-01-02T02:00:00+01:00"]])
    stamps = pa.chunked_array([pa.array([DAY, DAY + DAY // 24], pa.timestamp("us", tz="Europe/Berlin"))])

    assert to_instants(text, column="t").tolist() == to_instants(stamps, column="t").tolist() == [DAY, DAY + DAY // 24]


@pytest.mark.parametrize(
    "values",
    [
        pa.chunked_array([["1970-01-02", "1970-01-02"]]),
        pa.chunked_array([["1970-01-02T00:00:00", "1970-01-02 00:00:00"]]),
        pa.chunked_array([["1970-01-02T00:00:00Z", "1970-01-02T02:00:00+02:00"]]),
        pa.chunked_array([pa.array([1, 1], pa.date32())]),
        pa.chunked_array([pa.array([DAY * 1000] * 2, pa.timestamp("ns"))]),
    ],
    ids=lambda values: str(values[0]),
)
def test_times_without_a_zone_can_be_said_to_be_utc(values):
    """Tables of dates have none; the person says it, nobody guesses. A zone that is there holds."""
    assert to_instants(values, column="t", without_zone="utc").tolist() == [DAY, DAY]


@pytest.mark.badinput
@pytest.mark.parametrize(
    "values", [pa.chunked_array([["1970-01-02", "1970-01-02T00:00:00Z"]]), pa.chunked_array([["yesterday"]])]
)
def test_a_column_is_of_one_kind_of_times(values):
    """Half with a zone and half without is two clocks."""
    with pytest.raises(DataError, match="column 't'"):
        to_instants(values, column="t", without_zone="utc")


@pytest.mark.badinput
@pytest.mark.fault
@pytest.mark.parametrize(
    "values",
    [
        pa.chunked_array([pa.array([0], pa.timestamp("us"))]),
        pa.chunked_array([["2024-01-01T00:00:00"]]),
        pa.chunked_array([["yesterday"]]),
        pa.chunked_array([pa.array([1], pa.date32())]),
        pa.chunked_array([pa.array([1], pa.time64("us"))]),
        pa.chunked_array([[None, "2024-01-01T00:00:00Z"]]),
        pa.chunked_array([[1.5]]),
    ],
)
def test_a_time_that_is_not_certain_is_refused(values):
    """Without a zone, the order of two records is a guess."""
    with pytest.raises(DataError, match="column 't'"):
        to_instants(values, column="t")


@pytest.mark.badinput
@pytest.mark.parametrize("text", ["2024-01-01", "soon", "2024-01-01T00:00:00"])
def test_a_cutoff_that_is_not_certain_is_refused(text):
    """The same holds for params.yaml."""
    with pytest.raises(ParamsError, match=r"split\.time\.test_from"):
        parse_instant(text, where="split.time.test_from")


@pytest.mark.badinput
def test_test_must_lie_after_validation():
    """Else validation would be empty in silence."""
    with pytest.raises(ParamsError, match="must be later"):
        assign_by_time(np.array([0]), config(test_from="1970-01-11T00:00:00Z"))
