"""Scores at rest: what a trainer and the baselines leave for `evaluate` where records have no classes.

reports/predictions.parquet: id, split, score (float64, higher is better), and what the task measured of a record, such as its length.
reports/baselines.parquet:   id, model, score.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DataError
from headrace.evaluation.predictions import by_model, check_ids, read_table


@dataclass(frozen=True, slots=True)
class Scores:
    """One model's score of each record of a split."""

    ids: list[str]
    values: np.ndarray
    """float64 (N,), higher is better."""

    def digest(self) -> str:
        """sha256 of the ids in order: two results of one digest were measured on the same records."""
        return hashlib.sha256("".join(f"{key} -1\n" for key in sorted(self.ids)).encode()).hexdigest()


def read_scores(path: Path, split: str) -> Scores:
    """The trained model's scores on one split.

    Raises:
        DataError: file missing or damaged, no rows of the split, an id twice, or a score that is not finite.
    """
    table = read_table(path, ["id", "split", "score"])
    table = table.filter(pa.array([value == split for value in table.column("split").to_pylist()], pa.bool_()))
    if not table.num_rows:
        raise DataError(f"{path} has no rows of split '{split}': there is nothing to evaluate. Rerun `train`.")
    ids = table.column("id").to_pylist()
    check_ids(ids, path, f"split '{split}'")
    return Scores(ids, _finite(table.column("score").to_numpy(), ids, path))


def read_baseline_scores(path: Path, like: Scores) -> dict[str, Scores]:
    """Each baseline's scores, in the order of `like`'s ids.

    Raises:
        DataError: as `read_scores`, or another set of ids than `like` has.
    """
    table = read_table(path, ["id", "model", "score"])
    return {
        name: Scores(like.ids, _finite(rows.column("score").to_numpy(), like.ids, path))
        for name, rows in by_model(table, like.ids, path)
    }


def write_baseline_scores(path: Path, outcomes: Mapping[str, Scores]) -> None:
    """Write one row per model and test record, models in the given order; equal outcomes give equal bytes."""
    columns = {
        "id": pa.array([key for outcome in outcomes.values() for key in outcome.ids], pa.string()),
        "model": pa.array([name for name, outcome in outcomes.items() for _ in outcome.ids], pa.string()),
        "score": pa.array(np.concatenate([outcome.values for outcome in outcomes.values()])),
    }
    pq.write_table(pa.table(columns), path, compression="zstd", write_page_checksum=True)


def _finite(values: np.ndarray, ids: list[str], path: Path) -> np.ndarray:
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise DataError(
            f"{path}: {int(wrong.sum())} of {len(values)} scores are NaN or infinite, such as that of {ids[int(np.argmax(wrong))]}. "
            "The model is broken."
        )
    return values.astype(np.float64)
