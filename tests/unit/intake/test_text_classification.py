"""Texts on their way in."""

import pytest

from headrace.formats.record import RawRecord
from headrace.intake import text_classification as intake

CLASSES = {"sport": 0, "money": 1}


def rows(*payloads, label="sport", options=None, **changes):
    raws = [RawRecord(payload, label, "", "wire", f"{number}.txt", **changes) for number, payload in enumerate(payloads)]
    return intake.make_rows(raws, CLASSES, options or intake.RecordOptions()).to_pylist()


def test_a_text_is_kept_as_it_is_and_measured():
    """Validation judges the numbers without opening the text."""
    (row,) = rows("Goal!\n2-1, they said.")

    assert row["text"] == "Goal!\n2-1, they said."
    assert (row["characters"], row["words"], row["lines"], row["bytes"]) == (21, 4, 2, 21)
    assert row["letters"] == pytest.approx(12 / 18)
    assert (row["label"], row["fault"], row["replaced"]) == (0, "", 0)


def test_equal_bytes_have_one_id():
    """Exact copies collapse at `split`, whatever file they come from."""
    first, second, other = rows("the same", b"the same", "another")

    assert first["id"] == second["id"] != other["id"]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("a\0b", "NUL"),
        (b"\xa3 5 each", "encoding: byte 0 is not utf-8"),
        ("half \ud800", "encoding: a half of a surrogate pair"),
        ("x" * 1_000_001, "too long: 1000001 characters"),
        ({"a": 1}, "not a text: the format gave a dict"),
        (None, "not a text"),
    ],
)
def test_what_is_no_text_is_a_faulty_record(payload, fault):
    """It is quarantined with the reason, and its bytes go no further."""
    (row,) = rows(payload)

    assert row["fault"].startswith(fault)
    assert row["text"] == ""


@pytest.mark.badinput
def test_a_class_that_is_not_listed_is_a_fault():
    """A label never seen is not silently the last class."""
    (row,) = rows("fine", label="weather")

    assert (row["label"], row["fault"]) == (-1, "unknown class: 'weather'")


MASKED = intake.RecordOptions(personal={"policy": "mask"})


def test_personal_data_are_masked_before_they_are_at_rest():
    """Text, measures and id are of what stays; a digest of a phone number can be guessed back."""
    found = rows("Ask ann@example.org.", "Ask bob@example.org.", "Ask nobody.", options=MASKED)
    plain = rows("Ask nobody.")

    assert [row["text"] for row in found] == ["Ask [EMAIL].", "Ask [EMAIL].", "Ask nobody."]
    assert [row["personal_email"] for row in found] == [1, 1, 0]
    assert found[0]["characters"] == len("Ask [EMAIL].")
    assert found[0]["id"] == found[1]["id"] != rows("Ask ann@example.org.")[0]["id"]
    assert found[2]["id"] == plain[0]["id"]
    assert "personal_email" not in plain[0]


def test_a_text_that_cannot_be_read_counts_nothing():
    """Its columns are there all the same."""
    (row,) = rows("", options=MASKED)

    assert (row["fault"].partition(":")[0], row["personal_card"]) == ("empty", 0)
