from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.evaluation.predictions import Decisions, write_baselines

CLASSES = ["ant", "bee", "cat"]


def make_probabilities(labels: np.ndarray, classes: int, *, seed: int = 3, skill: float = 2.0) -> np.ndarray:
    """Noisy probabilities that lean towards the true class; float32 rows that sum to 1."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


class Saved:
    """Files as a trainer and the baselines leave them, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.predictions, self.baselines = folder / "predictions.parquet", folder / "baselines.parquet"

    def save(
        self, labels: Sequence[int], probabilities: np.ndarray, *, ids: list[str] | None = None, split: str = "test"
    ) -> None:
        y = np.asarray(labels, dtype=np.int64)
        flat = pa.array(probabilities.ravel(), pa.float32())
        columns = {
            "id": ids or [f"id{n:03d}" for n in range(len(y))],
            "split": [split] * len(y),
            "label": y,
            "probabilities": pa.FixedSizeListArray.from_arrays(flat, probabilities.shape[1]),
        }
        pq.write_table(pa.table(columns), self.predictions, write_page_checksum=True)

    def save_baselines(self, labels: Sequence[int], ids: list[str] | None = None, **predicted: Sequence[int]) -> None:
        y = np.asarray(labels, dtype=np.int64)
        names = ids or [f"id{n:03d}" for n in range(len(y))]
        write_baselines(self.baselines, {k: Decisions(names, y, np.asarray(v, dtype=np.int64)) for k, v in predicted.items()})


@pytest.fixture(scope="session")
def saved_in() -> type[Saved]:
    """For fixtures that outlive a test and bring their own folder."""
    return Saved


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path)


@pytest.fixture(scope="session")
def probabilities() -> Callable[..., np.ndarray]:
    return make_probabilities


@pytest.fixture
def model() -> dict[str, Any]:
    return {"format": 1, "task": "image_classification", "classes": CLASSES, "fingerprint": "f" * 64}
