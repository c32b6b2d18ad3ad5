"""Predictions of data sets."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.measured import write_records

from headrace.tasks import image_classification
from headrace.training.predict import predict_splits


def even(x: np.ndarray) -> np.ndarray:
    """Gives every class the same probability."""
    return np.full((len(x), 2), 0.5, dtype=np.float32)


def predictions(folder: Path, **columns: list[str]) -> dict[str, list]:
    data = write_records(folder / "data", 4, **columns)
    predict_splits(even, {"test": data}, folder / "p.parquet", image_classification)
    return dict(pq.read_table(folder / "p.parquet").to_pydict())


def test_records_of_several_sources_say_which(tmp_path):
    """`evaluate` then has the score of each."""
    assert predictions(tmp_path, source=["shop", "blog"] * 2)["source"] == ["shop", "blog"] * 2


@pytest.mark.parametrize("source", ["shop", ""])
def test_records_of_one_source_do_not(tmp_path, source):
    """There is nothing to compare, and the file stays as it was."""
    assert predictions(tmp_path, source=[source] * 4).keys() == {"id", "split", "label", "probabilities"}
