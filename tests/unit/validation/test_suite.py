"""A suite as a file: what is read, what is refused."""

import pytest

from headrace.errors import ParamsError
from headrace.validation.suite import load_suite

LABELS = "expectation: expect_column_values_to_be_between, column: label, min_value: 0, max_value: $last_label"


def test_placeholders_stand_for_what_the_data_set_says(make_suite):
    """A suite fits any number of classes."""
    suite = load_suite(make_suite(LABELS), classes=["a", "b", "c"])

    assert suite.lines[0].arguments == {"column": "label", "min_value": 0, "max_value": 2}


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0\nexpectations: [{expectation: x}]", "version 0; this Headrace reads version 1"),
        ("expectations: [{expectation: x}]", "version None"),
        ("version: 1\nexpectations: []", "a suite that checks nothing"),
        ("version: 1", "a suite that checks nothing"),
        ("version: 1\nexpectation: []", "unknown key 'expectation'. Did you mean 'expectations'?"),
        ("version: 1\nexpectations: [expect_x]", "must be a mapping"),
        ("version: 1\nexpectations: [{column: label}]", "'expectations[0].expectation' is missing"),
        ("version: 1\nexpectations: [{expectation: x, severity: fatal}]", "'expectations[0].severity' is 'fatal'"),
        ("version: 1\nexpectations: [{expectation: x, max_value: $last_lable}]", "Did you mean '$last_label'?"),
        ("version: 1\nexpectations: [{expectation: x, max_value: 9007199254740993}]", "exact up to 2^53"),
    ],
)
def test_a_suite_that_is_not_understood_is_refused(make_suite, text, message):
    """A suite that cannot be read must stop the run, never pass it."""
    with pytest.raises(ParamsError) as refused:
        load_suite(make_suite(text=text), classes=["a", "b"])

    assert message in str(refused.value)


@pytest.mark.badinput
def test_a_missing_suite_is_refused(tmp_path):
    """No suite is not an empty suite."""
    with pytest.raises(ParamsError, match="does not exist"):
        load_suite(tmp_path / "none.yaml", classes=["a"])
