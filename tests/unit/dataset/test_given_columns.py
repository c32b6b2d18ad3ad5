"""Columns as they came, beside the shards."""

import pytest

from headrace.dataset.given_columns import NAME, read_given_columns, write_given_columns
from headrace.errors import DataError


def test_what_was_written_is_read(tmp_path):
    """A data set without tables has no such file, and no columns."""
    assert read_given_columns(tmp_path) == {}

    write_given_columns(tmp_path, {"shop": {"price": "number"}})

    assert read_given_columns(tmp_path) == {"shop": {"price": "number"}}


@pytest.mark.badinput
@pytest.mark.parametrize("text", ["", "[1]", '{"shop": 3}'])
def test_a_damaged_file_says_how_to_get_it_again(tmp_path, text):
    """It is an output of collect."""
    (tmp_path / NAME).write_text(text)

    with pytest.raises(DataError, match="headrace run --stage collect --force"):
        read_given_columns(tmp_path)
