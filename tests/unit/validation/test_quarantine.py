"""Dividing a data set."""

import numpy as np

from headrace.dataset.shards import read_table
from headrace.listening import SilentProgress
from headrace.validation.quarantine import divide


def test_each_record_goes_to_one_side_with_its_reasons(make_data, tmp_path):
    """Nothing is lost, nothing doubled, order kept."""
    data, bad = make_data(6), np.array([0, 1, 0, 0, 1, 0], dtype=bool)
    reasons = [("first", np.array([1])), ("second", np.array([1, 4]))]
    divide(data, bad, reasons, passed=tmp_path / "good", kept_back=tmp_path / "bad", progress=SilentProgress())
    kept = read_table(tmp_path / "bad")

    assert read_table(tmp_path / "good", ["origin"])["origin"].to_pylist() == ["f:0", "f:2", "f:3", "f:5"]
    assert kept.select(["origin", "reasons"]).to_pylist() == [
        {"origin": "f:1", "reasons": ["first", "second"]},
        {"origin": "f:4", "reasons": ["second"]},
    ]


def test_a_data_set_without_bad_records_is_written_byte_for_byte(make_data, tmp_path):
    """So what follows is not run again for nothing."""
    data = make_data(6)
    divide(data, np.zeros(6, dtype=bool), [], passed=tmp_path / "good", kept_back=tmp_path / "bad", progress=SilentProgress())

    assert (tmp_path / "good/part-00000.parquet").read_bytes() == (data / "part-00000.parquet").read_bytes()
