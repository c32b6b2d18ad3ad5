"""Rows with a number to predict on their way in: whose target cannot be one is quarantined or refused."""

import pytest
from pydantic import ValidationError
from tests.unit.tables import HOUSES, as_csv, house_options, houses, read_csv

from headrace.errors import DataError, ParamsError
from headrace.intake import tabular
from headrace.intake import tabular_regression as intake


def rows_of(folder, *changed, **options):
    """What becomes of houses with other cells."""
    rows = [{**row, **change} for row, change in zip(houses(len(changed)), changed, strict=True)]
    raws = read_csv(folder, as_csv(rows), label=None)
    return intake.make_rows(raws, {}, house_options(**options))


def test_the_target_rests_as_a_float_under_a_name_of_its_own(tmp_path):
    """Whatever the table calls it; a column of the table with that name gets an underscore."""
    table = rows_of(tmp_path, {"price": "250000"}, {"price": " 1.5e5 "})

    assert table["target"].to_pylist() == [250_000.0, 150_000.0]
    assert table["target_"].to_pylist() == ["T0-0", "T0-1"]
    assert table["label"].to_pylist() == [-1, -1]
    assert table["fault"].to_pylist() == ["", ""]
    assert intake.record_info(house_options())["target"] == "price"


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("cheap", "not a number: price: 'cheap'"),
        ("inf", "not finite: price: 'inf'"),
        ("1e400", "not finite: price: '1e400'"),
        ("1152921504606846977", "not exact: price: 1152921504606846977"),
        ("=A1*2", "formula: price: '=A1*2'"),
    ],
)
def test_a_target_that_is_no_number_makes_the_record_faulty(tmp_path, cell, fault):
    """The next record is untouched; `validate` quarantines the faulty one with these words."""
    table = rows_of(tmp_path, {"price": cell}, {})

    first, second = table["fault"].to_pylist()
    assert first.startswith(fault)
    assert second == ""
    assert table["target"][0].as_py() is None


@pytest.mark.badinput
@pytest.mark.parametrize("cell", ["", "  ", "NaN", "NA"])
def test_a_blank_target_is_missing(tmp_path, cell):
    """Not zero, and not the mean."""
    assert rows_of(tmp_path, {"price": cell})["target"].to_pylist() == [None]


@pytest.mark.badinput
def test_big_whole_numbers_with_blanks_among_them_are_not_rounded(tmp_path):
    """A reader that makes floats of a column with blanks gives 9007199254740993 another last digit; here each keeps it or is faulty."""
    table = rows_of(tmp_path, {"price": "9007199254740993"}, {"price": ""}, {"price": "4503599627370497"})

    assert table["target"].to_pylist() == [None, None, 4503599627370497.0]
    assert table["fault"][0].as_py().startswith("not exact")


@pytest.mark.badinput
@pytest.mark.parametrize("kinds", [{"price": {"kind": "ignore"}}, {"door": {"kind": "target"}}])
def test_one_column_is_the_target(kinds):
    """None, or two: the message says how many."""
    with pytest.raises(ValidationError, match="one column needs kind: target"):
        intake.RecordOptions.model_validate({"columns": {**HOUSES, **kinds}})


@pytest.mark.badinput
def test_a_label_is_no_target(tmp_path):
    """`collect.options.label` takes the column out of the row."""
    raws = read_csv(tmp_path, as_csv(houses(2)), label="price")

    with pytest.raises(ParamsError, match="Set it to null"):
        intake.settle(house_options(), raws)


@pytest.mark.badinput
def test_a_target_that_the_table_lacks_is_named(tmp_path):
    """With the nearest column that is there."""
    raws = read_csv(tmp_path, as_csv(houses(2)).replace("price", "prize"), label=None)

    with pytest.raises(DataError, match="'prize' is not declared"):
        intake.settle(house_options(), raws)


@pytest.mark.badinput
def test_a_table_of_classes_has_no_target():
    """The message says which task has."""
    with pytest.raises(ValidationError, match="tabular_regression"):
        tabular.RecordOptions.model_validate({"columns": HOUSES})


@pytest.mark.badinput
def test_a_target_may_not_be_missing():
    """What `max_missing` lets through could not be learnt from."""
    with pytest.raises(ValidationError, match="a record without a target teaches nothing"):
        house_options(price={"kind": "target", "max_missing": 0.1})
