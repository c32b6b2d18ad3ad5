"""The difference between two data sets, and what becomes of it."""

import numpy as np
import pytest
from tests.measured import write_records

from headrace.dataset.given_columns import write_given_columns
from headrace.errors import ValidationFailed
from headrace.validation.changes import ChangePolicy, look_for_changes
from headrace.validation.profile import measure, readable_columns

HEIGHTS = list(range(10, 34))
MODES = ["L", "RGB"] * 12


@pytest.fixture
def accepted(tmp_path):
    """The profile of 24 records, of a table with columns of its own."""
    data = write_records(tmp_path / "before", height=HEIGHTS, mode=MODES)
    write_given_columns(data, {"s": {"height": "number", "note": "text"}})
    path = tmp_path / "accepted.json"
    path.write_text(measure(data, readable_columns(data)[0]).to_json())
    return path


@pytest.fixture
def look(tmp_path, accepted):
    """Compare data with the accepted ones."""

    def do(given=None, policy=None, **columns):
        data = write_records(tmp_path / "raw", **{"height": HEIGHTS, "mode": MODES, **columns})
        write_given_columns(data, {"s": {"height": "number", "note": "text"} if given is None else given})
        return look_for_changes(data, accepted, policy or ChangePolicy())

    return do


def told(changes):
    return [(report.kind, report.column, report.source, report.records) for report in changes.reports]


def test_equal_data_have_no_change(look):
    """And the report says with what they were compared."""
    changes = look()

    assert (changes.reports, changes.reasons, changes.compared) == ([], [], "24 accepted records of s")
    changes.refuse()


@pytest.mark.parametrize(
    ("given", "columns", "change"),
    [
        ({"height": "number", "note": "text", "age": "number"}, {}, ("columns_added", "age", "s", 24)),
        ({"height": "number"}, {}, ("columns_removed", "note", "s", 24)),
        ({"height": "text", "note": "text"}, {}, ("columns_retyped", "height", "s", 24)),
        (None, {"depth": [1.0] * 24}, ("columns_added", "depth", "", 24)),
        (None, {"mode": [1, 2] * 12}, ("columns_retyped", "mode", "", 24)),
        (None, {"mode": [*MODES[:-1], "P"]}, ("new_categories", "mode", "", 1)),
        (None, {"source": ["s"] * 20 + ["t"] * 4}, ("new_categories", "source", "", 4)),
        (None, {"classes": ("a", "b", "c"), "label": [2] + [0, 1] * 11 + [0]}, ("new_categories", "label", "", 1)),
        (None, {"height": [*HEIGHTS[:-2], 900, 901]}, ("shifted_ranges", "height", "", 2)),
        (None, {"height": [10] * 20 + HEIGHTS[:4]}, ("shifted_ranges", "height", "", 24)),
    ],
    ids=lambda value: "-".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_each_kind_of_change_is_found_with_the_records_it_concerns(look, given, columns, change):
    """Columns of tables count also where nothing is made of them; a median that leaves its place is a change of unit."""
    assert change in told(look(given, **columns))


def test_what_stays_near_the_accepted_range_is_no_change(look):
    """Data that grow have new extremes all the time: a tenth of the width is let pass."""
    assert told(look(height=[*HEIGHTS[:-1], 35])) == []


def test_an_empty_column_is_of_no_other_type(look):
    """A table whose column has no value on one day."""
    assert told(look({"height": "number", "note": "empty"})) == []


def test_quarantine_keeps_back_the_records_concerned(look):
    """Positions are those in the data set, faulty records included."""
    policy = ChangePolicy(shifted_ranges="quarantine")
    changes = look(policy=policy, fault=["cut short"] + [""] * 23, height=[0, *HEIGHTS[1:-1], 900])

    assert [(words, positions.tolist()) for words, positions in changes.reasons] == [
        ("column 'height' is 11 to 900, accepted 10 to 33", [23])
    ]
    assert changes.reports[0].example_ids == [f"{23:032x}"]


def test_fail_names_every_change_and_what_to_type(look):
    """Also those that are accepted: they may be of one cause."""
    changes = look({"height": "number", "age": "number"})

    with pytest.raises(ValidationFailed) as refused:
        changes.refuse()

    text = str(refused.value)
    assert "column 'note' of source 's' is gone (accepted as text) (validate.changes.columns_removed: fail)" in text
    assert "column 'age' of source 's' is new (number) (validate.changes.columns_added: accept)" in text
    assert "`headrace suite update`" in text


def test_nothing_accepted_and_data_of_another_source_are_compared_with_nothing(tmp_path, accepted, look):
    """A project begins without, and recipes share the file."""
    assert look(source=["t"] * 24).compared == "the accepted data are of s: nothing to compare"

    accepted.write_text('{"format": 1}')

    changes = look_for_changes(tmp_path / "raw", accepted, ChangePolicy())
    assert (changes.reports, changes.compared) == ([], "nothing was accepted yet")


def test_missing_numbers_are_neither_inside_nor_outside(look):
    """The suite says whether they may be missing."""
    height = np.array(HEIGHTS, dtype=np.float64)
    height[3] = np.nan

    assert told(look(height=[int(h) if np.isfinite(h) else None for h in height])) == []
