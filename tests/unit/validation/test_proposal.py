"""What the suite would have to say."""

import re

import pytest
from tests.measured import write_records
from tests.projects import REPOSITORY

from headrace.errors import ParamsError
from headrace.validation.profile import measure, readable_columns
from headrace.validation.proposal import propose
from headrace.validation.suite import load_suite

SUITE = """# Ours.
version: 1
expectations:
  # Smaller ones are icons.
  - {expectation: expect_column_values_to_be_between, column: height, min_value: 4, max_value: 40, reason: height}
  - {expectation: expect_column_values_to_be_in_set, column: mode, value_set: [L, RGB], reason: neither grey nor colour}   # by Ann
  - {expectation: expect_column_values_to_be_between, column: label, min_value: 0, max_value: $last_label, reason: label}
"""


@pytest.fixture
def suggest(tmp_path):
    """Propose for data, beside a suite and the profile of earlier data."""
    suite, accepted = tmp_path / "suite.yaml", tmp_path / "accepted.json"
    suite.write_text(SUITE)
    before = write_records(tmp_path / "before", mode=["L"] * 24)
    accepted.write_text(measure(before, readable_columns(before)[0]).to_json())

    def do(**columns):
        raw = write_records(tmp_path / "raw", **columns)
        return propose(raw, suite, accepted, max_bad_fraction=0.1)

    return do


def test_data_that_fit_propose_nothing(suggest):
    """And no file is touched."""
    assert suggest(mode=["L"] * 24).files == {}


def test_rules_are_widened_where_they_would_stop_the_stage(suggest, tmp_path):
    """Comments stay; the diff has the old and the new line."""
    proposal = suggest(mode=["L"] * 20 + ["P"] * 4, height=[28] * 20 + [90] * 4)
    diff = proposal.diff(tmp_path)

    assert "--- a/suite.yaml\n+++ b/suite.yaml\n" in diff
    assert (
        "+  - {expectation: expect_column_values_to_be_between, column: height, min_value: 4, max_value: 90, reason: height}"
        in diff
    )
    assert re.search(r"\+  - .*value_set: \[L, RGB, P\], reason: neither grey nor colour\} +# by Ann\n", diff)
    assert "   # Smaller ones are icons.\n" in diff
    assert diff.partition("a/accepted.json")[0].count("\n+  - ") == 2


def test_a_little_junk_widens_nothing(suggest, tmp_path):
    """Two records of 24 that the suite keeps back are what it is there for."""
    assert tmp_path / "suite.yaml" not in suggest(mode=["L"] * 24, height=[28] * 22 + [900, 0]).files


def test_a_rule_of_a_column_that_is_gone_goes_and_a_new_column_gets_one(suggest, tmp_path):
    """The new rule says from what it is, and the suite can be read again."""
    proposal = suggest(depth=[1.5] * 12 + [2.5] * 12)
    proposal.write()
    text = (tmp_path / "suite.yaml").read_text()

    assert "column: mode" not in text
    assert "# New column: what its 24 records show." in text
    assert "column: depth, min_value: 1.5, max_value: 2.5, reason: depth out of range" in text
    assert len(load_suite(tmp_path / "suite.yaml", classes=["a", "b"]).lines) == 3


def test_what_was_applied_is_not_proposed_again(suggest, tmp_path):
    """The proposal is what makes the data fit."""
    columns = {"mode": ["L"] * 20 + ["P"] * 4, "depth": [1.5] * 24, "height": [90] * 24}
    suggest(**columns).write()

    assert propose(tmp_path / "raw", tmp_path / "suite.yaml", tmp_path / "accepted.json", max_bad_fraction=0.1).files == {}


@pytest.mark.parametrize("suite", sorted((REPOSITORY / "expectations").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_suites_keep_every_byte_that_is_not_changed(suite, tmp_path):
    """Comments, quotes and the length of lines are their author's."""
    raw = write_records(tmp_path / "raw")
    own = tmp_path / suite.name
    own.write_text(suite.read_text() + "  - {expectation: expect_column_values_to_be_between, column: serial, max_value: 1}\n")
    propose(raw, own, tmp_path / "accepted.json", max_bad_fraction=0.1).write()

    added = "  - {expectation: expect_column_values_to_be_between, column: serial, max_value: 23}\n"
    assert own.read_text() == suite.read_text() + added


@pytest.mark.badinput
def test_what_is_no_suite_is_refused(suggest, tmp_path):
    """Before anything is written."""
    (tmp_path / "suite.yaml").write_text("version: 1\nexpectations: []\n")

    with pytest.raises(ParamsError, match="no list of expectations"):
        suggest()
