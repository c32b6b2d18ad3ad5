"""Records on their way in."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset import intake
from headrace.dataset.intake import Tally, class_names, in_chunks
from headrace.errors import DataError
from headrace.formats.record import RawRecord


def record(label="a", payload=b""):
    return RawRecord(payload, label, "", "s", "o")


def test_numbers_come_by_value_and_before_words():
    """'10' after '9', so that the label of class '3' is 3."""
    labels = ["10", "9", "cat", "0", "ant", None, "-1"]

    assert class_names(map(record, labels)) == ["-1", "0", "9", "10", "ant", "cat"]


@pytest.mark.badinput
def test_label_column_with_too_many_values_is_refused(monkeypatch):
    """An id or a text taken for the label is found before memory is."""
    monkeypatch.setattr(intake, "MAX_CLASSES", 10)
    with pytest.raises(DataError, match="right column"):
        class_names(record(str(n)) for n in range(11))


def test_chunks_are_bounded_by_rows_and_by_bytes(monkeypatch):
    """Large pictures come in small chunks, whether large as files or as pixels."""
    monkeypatch.setattr(intake, "CHUNK_BYTES", 1000)
    small, encoded, decoded = [record()] * 5000, [record(payload=b"x" * 400)] * 7, [record(payload=np.zeros(1))] * 7

    assert [len(chunk) for chunk in in_chunks(small, {})] == [2048, 2048, 904] or sum(map(len, in_chunks(small, {}))) == 5000
    assert max(len(chunk) for chunk in in_chunks(encoded, {})) == 3
    assert max(len(chunk) for chunk in in_chunks(decoded, {"shape": [10, 50, 1]})) == 2


def test_tally_counts_what_the_report_says():
    """Classes that do not occur are shown with 0; repeats of an id are counted."""
    tally = Tally(["a", "b"])
    rows = {"id": ["0" * 32, "1" * 32, "0" * 32], "label": [0, -1, 0], "split": ["", "test", ""], "fault": ["", "size: 3", ""]}
    tally.add(pa.table({**rows, "origin": ["x", "y", "z"]}))

    assert tally.by_class == {"": 1, "a": 2, "b": 0}
    assert tally.by_split == {"": 2, "test": 1}
    assert tally.duplicates == 1
    assert {kind: fault.model_dump() for kind, fault in tally.faults.items()} == {
        "size": {"count": 1, "examples": ["y: size: 3"]}
    }
