"""Running text is cut at its borders; what cannot be read stays as a row that says why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.formats.record import RawRecord
from headrace.intake.language_modeling import RecordOptions, cut, make_rows


def rows(payload: object, *, characters: int = 40, **kwargs: object) -> list[dict]:
    raw = RawRecord(payload, None, "", "shelf", "book.txt:line 1", **kwargs)  # type: ignore[arg-type]
    return list(make_rows([raw], {}, RecordOptions(characters=characters)).to_pylist())


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="ab. \n", max_size=300), limit=st.integers(1, 50))
def test_pieces_are_the_text_and_none_is_too_long(text, limit):
    """Nothing is lost, nothing doubled."""
    pieces = list(cut(text, limit))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= limit for piece in pieces)


def test_empty_lines_are_better_borders_than_line_ends():
    """A speech stays whole where it fits."""
    pieces = list(cut("First speech, a line.\n\nSecond speech,\nof two lines, is longer.\n", 40))

    assert pieces[0] == "First speech, a line.\n\n"


@pytest.mark.badinput
def test_a_line_of_a_million_characters_is_cut():
    """It has no border at all, and must not become one record."""
    found = rows("x" * 1_000_000, characters=100_000)
    assert len(found) == 10
    assert {row["characters"] for row in found} == {100_000}


@pytest.mark.badinput
def test_a_nul_sign_spoils_its_own_stretch_only():
    """One bad byte in a book does not take the book."""
    found = rows("A good beginning of the text.\n\nA \0 byte is in this stretch.\n\nAnd a good end of the text.\n\n")

    assert [row["fault"][:3] for row in found] == ["", "NUL", ""]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("payload", "fault"),
    [("  \n ", "empty"), (b"caf\xe9", "encoding"), ("\ud800", "encoding"), ({"a": "b"}, "not a text")],
    ids=["spaces", "latin-1", "half of a pair", "no text"],
)
def test_what_cannot_be_read_is_a_row_with_its_reason(payload, fault):
    """`validate` quarantines it; nothing is dropped in silence."""
    found = rows(payload)
    assert [row["fault"].partition(":")[0] for row in found] == [fault]
    assert found[0]["text"] == ""


def test_lengths_are_measured():
    """Losses are told per character, byte and word."""
    (row,) = rows("Zwei \u00c4pfel\n")

    assert (row["characters"], row["bytes"], row["words"], row["lines"]) == (11, 12, 2, 1)
