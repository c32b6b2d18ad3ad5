"""From outcomes to a verdict."""

import numpy as np
import pytest

from headrace.errors import ParamsError, ValidationFailed
from headrace.validation.measured import read_measured
from headrace.validation.suite import load_suite
from headrace.validation.verdict import judge, refuse_if_failed

FAULT = 'expectation: expect_column_values_to_be_in_set, column: fault, value_set: [""], reason: cannot be decoded'
HEIGHT = "expectation: expect_column_values_to_be_between, column: height, min_value: 4, reason: too low"
CLASS_ROWS = "expectation: expect_column_min_to_be_between, column: class_rows, min_value: 5, reason: a class is small"


@pytest.fixture
def verdict_of(make_data, make_suite):
    def verdict(*lines, classes=("a", "b"), rows=24, **columns):
        suite = load_suite(make_suite(*lines), classes=classes)
        data = make_data(rows, classes=classes, **columns)
        return judge(suite, read_measured(data, suite.columns, where="suite"), classes=classes)

    return verdict


def reasons(verdict):
    return {words: positions.tolist() for words, positions in verdict.reasons if len(positions)}


def test_a_record_that_cannot_be_read_counts_once(verdict_of):
    """Its height is 0 because there is no picture: one reason, not two."""
    verdict = verdict_of(FAULT, HEIGHT, fault=["", "truncated"] + [""] * 22, height=[28, 0] + [28] * 22)

    assert reasons(verdict) == {"cannot be decoded": [1]}


def test_copies_of_one_record_are_told_apart(verdict_of):
    """Positions, not ids: of two records of one content only the wrongly labelled one goes."""
    label = "expectation: expect_column_values_to_be_between, column: label, min_value: 0, max_value: 1, reason: label"
    verdict = verdict_of(label, id=["x", "x"] + [str(i) for i in range(22)], label=[0, 7] + [0, 1] * 11)

    assert reasons(verdict) == {"label": [1]}


@pytest.mark.badinput
def test_missing_values_fail_every_rule_about_a_column(verdict_of):
    """The engine skips NaN, so a column of nothing else would pass."""
    verdict = verdict_of("expectation: expect_column_values_to_be_between, column: std, min_value: 1", std=[np.nan] * 24)

    assert (verdict.bad.all(), reasons(verdict)) == (True, {"std is missing or not finite": list(range(24))})


def test_a_suite_may_allow_missing_values(verdict_of):
    """Its own not-null line, of lower severity, replaces ours."""
    verdict = verdict_of("expectation: expect_column_values_to_not_be_null, column: std, severity: info", std=[None] + [1.0] * 23)

    assert not verdict.bad.any()


def test_less_than_critical_is_counted_not_kept_back(verdict_of):
    """A warning never removes data."""
    verdict = verdict_of(f"{HEIGHT}, severity: warning", height=[0] * 3 + [28] * 21)
    refuse_if_failed(verdict, max_bad_fraction=0)

    assert (int(verdict.bad.sum()), [len(o.bad) for o in verdict.outcomes if not o.success]) == (0, [3])


def test_class_balance_is_that_of_the_records_that_go_on(verdict_of):
    """Six of a class of ten are bad: four are left, fewer than the suite asks for."""
    verdict = verdict_of(HEIGHT, CLASS_ROWS, rows=20, height=[0 if row % 2 and row < 12 else 28 for row in range(20)])

    with pytest.raises(ValidationFailed, match=r"a class is small.*class_rows found 4 \(min_value 5\)"):
        refuse_if_failed(verdict, max_bad_fraction=1)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rows": 0}, "no record is left"),
        ({"label": [0] * 24}, "fewer than two classes"),
        ({"height": [0] * 24}, "no record is left"),
    ],
)
def test_no_record_or_one_class_is_refused_whatever_the_suite_says(verdict_of, columns, message):
    """Most expectations pass on nothing, and one class teaches nothing."""
    with pytest.raises(ValidationFailed, match=message):
        refuse_if_failed(verdict_of(HEIGHT, **columns), max_bad_fraction=1)


def test_failure_names_expectation_column_count_share_and_records(verdict_of):
    """Enough to find the records without opening a file."""
    verdict = verdict_of(HEIGHT, height=[0] * 3 + [28] * 21)
    with pytest.raises(ValidationFailed) as failed:
        refuse_if_failed(verdict, max_bad_fraction=0.1)

    assert "3 of 24 records (12.50%) are bad; validate.max_bad_fraction allows 10.00%" in str(failed.value)
    assert f"too low: expect_column_values_to_be_between on height fails for 3 records (12.50%), such as {0:032x}" in str(
        failed.value
    )


def test_mostly_is_a_limit_of_its_own(verdict_of):
    """One line may be stricter than max_bad_fraction."""
    verdict = verdict_of(f"{HEIGHT}, mostly: 0.95", height=[0] * 3 + [28] * 21)

    with pytest.raises(ValidationFailed, match="too low"):
        refuse_if_failed(verdict, max_bad_fraction=1)


@pytest.mark.badinput
def test_a_whole_column_in_a_rule_about_one_record_is_refused(verdict_of):
    """Class counts are not known while records are judged."""
    with pytest.raises(ParamsError, match="expect_column_min_to_be_between"):
        verdict_of("expectation: expect_column_values_to_be_between, column: class_rows, min_value: 5")
