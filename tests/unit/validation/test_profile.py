"""What columns look like."""

import pytest
from tests.measured import write_records

from headrace.dataset.given_columns import write_given_columns
from headrace.errors import ParamsError
from headrace.validation.profile import measure, read_accepted, readable_columns


def profile(folder, rows=24, **columns):
    data = write_records(folder, rows, **columns)
    write_given_columns(data, {"s": {"height": "number"}})
    return measure(data, readable_columns(data)[0])


def test_a_profile_has_ranges_of_numbers_and_categories_of_words(tmp_path):
    """Quantiles are values that occur; ids, places and pixels are different for every record and say nothing."""
    found = profile(tmp_path / "raw", height=[*range(1, 24), 100], mode=["L"] * 20 + ["RGB"] * 4)

    assert found.columns["height"].range == [1, 2, 12, 23, 100]
    assert found.columns["mode"].categories == ["L", "RGB"]
    assert found.columns["label"].categories == ["a", "b"]
    assert found.columns.keys() == {"height", "label", "mode", "serial", "source", "split", "std"}
    assert (found.rows, found.sources, found.given) == (24, ["s"], {"s": {"height": "number"}})


def test_words_that_hardly_repeat_are_no_categories(tmp_path):
    """Every new name would be a change."""
    assert profile(tmp_path / "raw", name=[f"name {row}" for row in range(24)]).columns["name"].categories is None


def test_what_cannot_be_read_and_what_is_not_finite_counts_for_nothing(tmp_path):
    """A faulty record has zeros in its columns."""
    found = profile(tmp_path / "raw", fault=["cut short"] + [""] * 23, height=[0] + [28] * 23, std=[float("nan"), 1.0] * 12)

    assert (found.rows, found.columns["height"].range[0], found.columns["std"].range) == (23, 28, [1] * 5)


def test_the_file_is_the_profile_in_a_line_a_column(tmp_path):
    """A difference in git shows which column changed; what was written is read as it was."""
    found = profile(tmp_path / "raw")
    path = tmp_path / "accepted.json"
    path.write_text(found.to_json())

    assert read_accepted(path) == found
    assert '    "height": {"range": [28.0, 28.0, 28.0, 28.0, 28.0], "type": "int32"},' in found.to_json().splitlines()


@pytest.mark.badinput
@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "columns": {"a": {}}}', "[" * 100_000])
def test_a_damaged_file_says_what_to_type(tmp_path, text):
    """It stands in git, where people merge by hand."""
    (tmp_path / "accepted.json").write_text(text)

    with pytest.raises(ParamsError, match=r"accepted.json cannot be understood .*headrace suite update --write"):
        read_accepted(tmp_path / "accepted.json")


@pytest.mark.badinput
def test_a_missing_file_says_what_to_type(tmp_path):
    """A project of before has none."""
    with pytest.raises(ParamsError, match="does not exist: `headrace suite update --write`"):
        read_accepted(tmp_path / "accepted.json")
