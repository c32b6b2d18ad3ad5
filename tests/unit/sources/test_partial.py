"""A download that is not whole yet."""

import pytest

from headrace.sources.partial import Partial


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"etag": '"one"', "last-modified": "Mon"}, '"one"'),
        ({"etag": 'W/"one"', "last-modified": "Mon"}, "Mon"),
        ({"etag": 'W/"one"'}, None),
        ({}, None),
    ],
)
def test_only_marks_that_promise_equal_bytes_are_kept(tmp_path, headers, kept):
    """A range asked with a weak mark would glue two files together."""
    partial = Partial(tmp_path / "x")
    partial.remember({"etag": '"before"'})
    partial.remember(headers)

    assert partial.validator == kept


@pytest.mark.badinput
@pytest.mark.parametrize("notes", ["", "[]", '"text"', "\x00"])
def test_damaged_notes_are_no_notes(tmp_path, notes):
    """The download begins anew; it does not fail for ever."""
    (tmp_path / "x.json").write_text(notes)

    assert Partial(tmp_path / "x").validator is None
