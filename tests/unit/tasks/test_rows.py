"""How rows become numbers, and when two of them are the same."""

import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.tables import customers, write_table

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.tasks import _rows as task

RECORD = {
    "missing_values": ["", "NA"],
    "columns": [
        {"name": "age", "column": "age", "kind": "numeric", "feature": True},
        {"name": "size", "column": "size", "kind": "ordinal", "feature": True, "order": ["small", "large"]},
        {"name": "since", "column": "since", "kind": "date", "feature": True},
        {"name": "plan", "column": "plan", "kind": "categorical", "feature": True},
        {"name": "who", "column": "who", "kind": "id", "feature": False},
    ],
}
ROWS = [
    {"age": 20, "size": "small", "since": "2020-01-01", "plan": "a"},
    {"age": 40, "size": "large", "since": "2020-01-03", "plan": "a"},
    {"age": None, "size": "large", "since": None, "plan": "b"},
]


def rows(*found):
    made = np.empty(len(found), dtype=object)
    made[:] = list(found)
    return made


def fitted(*found, **options):
    return task.fit_encoding([rows(*found)], record=RECORD, **{"min_count": 1, "max_categories": 10, "fill": "median", **options})


def encoded(encoding, *found):
    return task.encode(rows(*found), encoding)


def test_numbers_are_scaled_by_the_training_rows_and_missing_ones_are_told():
    """Mean 30, deviation 10: a missing age counts as the median, and a second number says that it was missing."""
    encoding = fitted(*ROWS)

    assert encoded(encoding, *ROWS)[:, :2].tolist() == [[-1, 0], [1, 0], [0, 1]]
    assert encoding["shape"] == [5, 4]  # age, its flag, size, since, its flag; unseen, missing, a and b
    assert json.loads(json.dumps(encoding)) == encoding


def test_the_order_of_categories_is_kept_and_dates_are_days():
    """Small before large; two days between the dates."""
    found = encoded(fitted(*ROWS), *ROWS)

    assert found[0, 2] < found[1, 2]
    assert found[1, 3] - found[0, 3] == pytest.approx(2)  # deviation of two dates two days apart: one day


def test_a_category_is_unseen_missing_or_known():
    """Each has a number of its own."""
    found = encoded(fitted(*ROWS), {"plan": "a"}, {"plan": "b"}, {"plan": "never"}, {"plan": " "}, {})

    assert found[:, -1].tolist() == [2, 3, task.UNSEEN, task.MISSING, task.MISSING]


def test_rare_categories_count_as_unseen():
    """So that training shows a network what unseen means."""
    encoding = fitted(*[{"plan": "a"}] * 5, {"plan": "b"}, min_count=2)

    assert encoding["categories"][0]["values"] == ["a"]


def test_a_column_without_any_value_is_no_obstacle():
    """Nothing is known of it; its number is the same for all."""
    found = encoded(fitted({"plan": "a"}, {"plan": "b"}), {"age": None}, {"age": 3})

    assert np.isfinite(found).all()


@pytest.mark.parametrize("fill", ["median", "mean", "zero"])
def test_what_stands_for_a_missing_number_can_be_chosen(fill):
    """Of 0, 0 and 9: 0, 3 or 0."""
    encoding = fitted({"age": 0}, {"age": 0}, {"age": 9}, fill=fill)

    assert encoding["numbers"][0]["fill"] == {"median": 0, "mean": 3, "zero": 0}[fill]


@pytest.mark.parametrize("value", ["30", " 30 ", 30, 30.0, np.int64(30), np.float32(30), "3e1"])
def test_a_number_is_the_same_however_it_is_written(value):
    """A CSV cell, a JSON number, a cell of a frame."""
    assert encoded(fitted(*ROWS), {"age": value})[0, 0] == 0


@pytest.mark.parametrize(
    "value",
    ["2020-01-03", "2020-01-03T00:00:00+00:00", date(2020, 1, 3), datetime(2020, 1, 3, tzinfo=UTC), pd.Timestamp("2020-01-03")],
)
def test_a_date_is_the_same_however_it_is_written(value):
    """Text, a date, a moment, a cell of a frame."""
    encoding = fitted(*ROWS)

    assert encoded(encoding, {"since": value})[0, 3] == encoded(encoding, ROWS[1])[0, 3]


@pytest.mark.parametrize("value", ["3", " 3 ", 3, 3.0, np.int64(3)])
def test_a_category_is_the_same_however_it_is_written(value):
    """Frames turn whole numbers with gaps into floats."""
    encoding = fitted({"plan": "3"}, {"plan": "4"})

    assert encoded(encoding, {"plan": value})[0, -1] == 2


@pytest.mark.badinput
@pytest.mark.parametrize("value", [None, "", "NA", math.nan, math.inf, "1e400", 10**400, pd.NA, pd.NaT, "abc", [1], {"a": 1}])
def test_what_is_no_number_counts_as_missing(value):
    """Any input has an answer; that it is odd is for validation to say."""
    assert encoded(fitted(*ROWS), {"age": value}).tolist() == encoded(fitted(*ROWS), {}).tolist()


@given(
    st.dictionaries(
        st.sampled_from(["age", "size", "since", "plan", "x"]),
        st.one_of(st.none(), st.text("012.-e aNé\0", max_size=8), st.floats(), st.integers()),
    )
)
def test_any_row_has_finite_numbers(row):
    """Codes stay inside the embeddings, numbers within what was seen."""
    encoding = fitted(*ROWS)
    found = encoded(encoding, row)

    assert np.isfinite(found).all()
    assert np.abs(found[:, :5]).max() <= 8
    assert 0 <= found[0, -1] < encoding["shape"][1]


def test_positions_cover_every_number_once():
    """Permutation importance shuffles a column with the flag that it was missing."""
    found = task.positions(fitted(*ROWS))

    assert found == {"age": [0, 1], "size": [2], "since": [3, 4], "plan": [5]}


def test_typed_columns_give_the_rows_back(tmp_path):
    """What rests as numbers, names and moments is what the encoding of raw cells sees."""
    found = customers(50)
    write_table(tmp_path / "data", found)
    table, record = read_table(tmp_path / "data"), read_info(tmp_path / "data").record
    inputs = task.inputs(table, record)
    encoding = task.fit_encoding([inputs], record=record, min_count=1, max_categories=10, fill="median")

    assert list(inputs[1]) == ["fee", "plan", "size", "since", "source"]
    assert inputs[0]["fee"] is None
    np.testing.assert_array_equal(task.encode(inputs, encoding), task.encode(rows(*found), encoding))


def test_features_name_what_is_missing(tmp_path):
    """A classical model learns from it as well."""
    write_table(tmp_path / "data", customers(20))
    found = task.features(read_table(tmp_path / "data"), read_info(tmp_path / "data").record)

    assert found[0]["fee is missing"] == 1
    assert "fee" not in found[0]
    assert isinstance(found[1]["fee"], float)
    assert isinstance(found[1]["plan"], str)


def test_rows_that_differ_in_few_columns_are_near(tmp_path):
    """They share the key of the half in which they are equal."""
    one = customers(1, seed=3)[0]
    other, far = {**one, "source": "fax"}, {**customers(2, seed=4)[1]}
    write_table(tmp_path / "data", [one, other, far])
    table, record = read_table(tmp_path / "data"), read_info(tmp_path / "data").record
    keys, inputs = task.near_duplicate_keys(table, record), task.inputs(table, record)

    assert (keys[0] == keys[1]).any()
    assert task.are_near_duplicates(inputs[[0, 0]], inputs[[1, 2]], 0.2).tolist() == [True, False]


def test_raw_cells_are_read_as_collect_read_them():
    """A caller sends '1.234,50' and '31.01.2024' as the file has them; the rows of training are at rest."""
    record = {
        "missing_values": [""],
        "columns": [
            {"name": "fee", "kind": "numeric", "feature": True, "column": "fee", "decimal": ","},
            {"name": "since", "kind": "date", "feature": True, "column": "since", "written": "%d.%m.%Y"},
        ],
    }
    at_rest = rows({"fee": 1234.5, "since": "2024-01-31T00:00:00+00:00"}, {"fee": 10.0, "since": "2024-02-29T00:00:00+00:00"})
    encoding = task.fit_encoding([at_rest], record=record, min_count=1, max_categories=10, fill="median")
    raw = rows({"fee": "1.234,50", "since": "31.01.2024"}, {"fee": "10", "since": "29.02.2024"})

    assert np.array_equal(task.encode(raw, encoding), task.encode(at_rest, encoding))
