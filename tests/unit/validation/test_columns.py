"""Rules that a schema implies, and columns that give the label away."""

import json

import numpy as np
import pandas as pd
import pytest
import tests.quiet_engine  # noqa: F401  # first: its import warns
from tests.unit.tables import CLASSES, customers, houses, write_houses, write_table

from headrace.dataset.schema import read_info
from headrace.errors import ValidationFailed
from headrace.stages.validate import Params, run
from headrace.validation.columns import refuse_leaks, told_by, with_columns
from headrace.validation.suite import Suite

SUITE = "expectations/tabular.yaml"


@pytest.fixture
def validate(tmp_path, request):
    """Run the stage on rows; returns its report."""

    def do(rows, params=None, **columns):
        write_table(tmp_path / "raw", rows, **columns)
        accepted = tmp_path / "accepted.json"
        accepted.write_text('{"format": 1}')
        return run(
            params or Params(max_bad_fraction=0.5),
            raw=tmp_path / "raw",
            suite=request.config.rootpath / SUITE,
            accepted=accepted,
            validated=tmp_path / "validated",
            quarantine=tmp_path / "quarantine",
            results=tmp_path / "results.json",
        )

    return do


def test_good_rows_go_on_and_missing_cells_are_counted(validate):
    """Ten blank fees in a hundred are allowed by the schema, and reported."""
    report = validate(customers(100))

    assert report.rows_out == 100
    assert "fee is missing: 10 of 100 records" in report.warnings


def test_a_constant_column_is_told(validate):
    """It teaches nothing, and a join that failed often makes one."""
    report = validate([{**row, "plan": "basic"} for row in customers(100)])

    assert "plan is the same in every record" in report.warnings


@pytest.mark.badinput
def test_values_outside_the_schema_are_quarantined_with_their_reason(validate):
    """A range, a set of categories, an order, and a value that must be there."""
    rows = customers(100)
    rows[1]["fee"], rows[2]["plan"], rows[3]["size"], rows[4]["source"] = "-1", "unheard of", "giant", ""

    report = validate(rows, plan={"kind": "categorical", "values": ["basic", "full", "rare"]})

    assert report.quarantined_by_reason == {
        "fee is out of range": 1,
        "plan is no value of its schema": 1,
        "size is no value of its schema": 1,
        "source is missing": 1,
    }


@pytest.mark.badinput
def test_too_many_missing_cells_stop_the_stage(validate):
    """With the share that is there."""
    with pytest.raises(ValidationFailed, match="fee is missing too often"):
        validate(customers(100), fee={"kind": "numeric", "max_missing": 0.05})


@pytest.mark.badinput
@pytest.mark.parametrize("leak", [lambda row: row["left"], lambda row: "1" if row["left"] == "Yes" else "0.5"])
def test_a_column_that_predicts_the_label_alone_is_named(validate, leak):
    """A name or a number that was written down when the label was known."""
    kind = "numeric" if leak({"left": "Yes"}) == "1" else "categorical"
    rows = [{**row, "refund": leak(row)} for row in customers(200)]

    with pytest.raises(ValidationFailed, match=r"predicts the label alone: 'refund' \(100\.0%\)"):
        validate(rows, refund={"kind": kind})


def test_the_limit_of_leakage_can_be_raised(validate):
    """Some labels are that easy."""
    rows = [{**row, "refund": row["left"]} for row in customers(100)]

    report = validate(rows, Params(max_bad_fraction=0.5, max_told_by_one_column=1.0), refund={"kind": "categorical"})

    assert report.rows_out == 100


def test_a_column_of_names_tells_nothing():
    """Each occurs once: what one half teaches of it is of no use in the other."""
    labels, halves = np.arange(400) % 2, np.arange(400) % 4 < 2

    assert told_by(pd.Series([f"n{number}" for number in range(400)]), labels, halves) == 0


def test_a_column_of_noise_tells_nearly_nothing():
    """Numbers drawn without a look at the label."""
    random = np.random.default_rng(1)
    labels, halves = random.integers(0, 2, 2000), random.random(2000) < 0.5

    assert told_by(pd.Series(random.normal(size=2000)), labels, halves) < 0.1


def test_a_time_can_give_the_label_away():
    """A date of leaving is there, or later, where somebody left."""
    labels, halves = np.arange(400) // 200, np.arange(400) % 2 == 0
    times = pd.Series(pd.to_datetime(["2020-01-01", "2024-01-01"]).repeat(200))

    assert told_by(times, labels, halves) == 1
    assert told_by(times.where(labels == 1), labels, halves) == 1


def test_whether_there_is_a_value_can_give_the_label_away():
    """The date of a refund: a day of its own for each, and only for those who left."""
    labels, halves = np.arange(400) // 200, np.arange(400) % 2 == 0
    days = pd.Series([f"day {number}" if label else None for number, label in enumerate(labels)])

    assert told_by(days, labels, halves) == 1


@pytest.mark.badinput
def test_one_class_and_one_half_are_no_obstacle():
    """There are no mistakes to avoid; the rule about classes speaks."""
    assert told_by(pd.Series([1.0, 2.0]), np.zeros(2, np.int64), np.array([True, False])) == 0
    assert told_by(pd.Series([1.0, 2.0]), np.arange(2), np.array([True, True])) == 0


def test_records_without_columns_have_no_such_rules(tmp_path):
    """Pictures and texts are judged by their suite alone."""
    suite = Suite(name="s", lines=())

    assert with_columns(suite, {"payload": "image"}) is not None
    assert with_columns(suite, {"payload": "image"}).lines == ()
    refuse_leaks(pd.DataFrame({"id": ["0"], "label": [0]}), {"payload": "image"}, threshold=0.5)


def test_rules_are_made_from_what_the_data_set_says(tmp_path):
    """dataset.json carries the schema."""
    write_table(tmp_path, customers(10))
    record = read_info(tmp_path).record

    assert json.loads(json.dumps(record)) == record
    assert read_info(tmp_path).classes == list(CLASSES)
    assert [line.reason for line in with_columns(Suite(name="s", lines=()), record).lines][:2] == [
        "number is missing",
        "fee is missing",
    ]


@pytest.fixture
def validate_houses(tmp_path, request):
    """Run the stage on rows with a price each; returns its report."""

    def do(rows, **params):
        write_houses(tmp_path / "raw", rows)
        (tmp_path / "accepted.json").write_text('{"format": 1}')
        return run(
            Params(**params),
            raw=tmp_path / "raw",
            suite=request.config.rootpath / "expectations/tabular_regression.yaml",
            accepted=tmp_path / "accepted.json",
            validated=tmp_path / "validated",
            quarantine=tmp_path / "quarantine",
            results=tmp_path / "results.json",
        )

    return do


@pytest.mark.badinput
def test_records_without_a_usable_target_are_quarantined_with_their_reason(validate_houses):
    """Blank, text, infinite, and below what the schema allows."""
    rows = houses(100)
    rows[1]["price"], rows[2]["price"], rows[3]["price"], rows[4]["price"] = " ", "cheap", "inf", "-5"

    report = validate_houses(rows, max_bad_fraction=0.1)

    assert (report.rows_out, report.quarantined) == (96, 4)
    assert {"price is missing", "price is out of range", "cannot be read"} <= set(report.quarantined_by_reason)


@pytest.mark.badinput
def test_a_target_that_is_the_same_everywhere_stops_the_run(validate_houses):
    """There is nothing to learn; a join that failed makes such a column."""
    with pytest.raises(ValidationFailed, match="the target is the same in every record"):
        validate_houses([{**row, "price": "7"} for row in houses(100)])


@pytest.mark.badinput
def test_a_column_that_tells_the_target_alone_is_named(validate_houses):
    """The price in another currency, under an innocent name."""
    rows = [{**row, "door": str(float(row["price"]) * 1.1)} for row in houses(400)]

    with pytest.raises(ValidationFailed, match=r"predicts the target alone: 'door' \(9\d"):
        validate_houses(rows)


def test_columns_that_tell_a_part_of_the_target_go_on(validate_houses):
    """Area alone tells more than half of the prices' variance, which is what it is there for."""
    assert validate_houses(houses(400)).rows_out == 400
