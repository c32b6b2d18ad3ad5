"""Records on their way in."""

import numpy as np
import pytest

from headrace.errors import DataError
from headrace.formats.record import RawRecord
from headrace.intake import records
from headrace.intake.records import class_names, in_chunks


def record(label="a", payload=b""):
    return RawRecord(payload, label, "", "s", "o")


def test_numbers_come_by_value_and_before_words():
    """'10' after '9', so that the label of class '3' is 3."""
    labels = ["10", "9", "cat", "0", "ant", None, "-1"]

    assert class_names(map(record, labels)) == ["-1", "0", "9", "10", "ant", "cat"]


@pytest.mark.badinput
def test_label_column_with_too_many_values_is_refused(monkeypatch):
    """An id or a text taken for the label is found before memory is."""
    monkeypatch.setattr(records, "MAX_CLASSES", 10)
    with pytest.raises(DataError, match="right column"):
        class_names(record(str(n)) for n in range(11))


def test_chunks_are_bounded_by_rows_and_by_bytes(monkeypatch):
    """Large pictures come in small chunks, whether large as files or as pixels."""
    monkeypatch.setattr(records, "CHUNK_BYTES", 1000)
    small, encoded, decoded = [record()] * 5000, [record(payload=b"x" * 400)] * 7, [record(payload=np.zeros(1))] * 7

    assert [len(chunk) for chunk in in_chunks(small, {})] == [1000] * 5
    assert max(len(chunk) for chunk in in_chunks(encoded, {})) == 3
    assert max(len(chunk) for chunk in in_chunks(decoded, {"shape": [10, 50, 1]})) == 2
