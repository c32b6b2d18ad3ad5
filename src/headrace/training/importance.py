"""Permutation importance: how much worse a model gets when one column is shuffled over the records (Breiman 2001).

It tells what this model relies on, not what is true of the world: of two columns that say the same, each may look idle.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.training.encoding import KEY, to_numbers

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

MAX_RECORDS = 2000
REPEATS = 5

Predict = Callable[[np.ndarray], np.ndarray]
"""Encoded records (N, F) to probabilities (N, K)."""


def measure_importance(
    predict: Predict, task: "Task", folder: Path, description: Mapping[str, Any], *, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """`{"importance": ...}` for model.json: what shuffling each column costs on the first records of a data set that was not trained on.

    Empty for a task without columns (it has no `positions`), or without records.
    """
    positions = getattr(task, "positions", None)
    info = read_info(folder)
    if positions is None or not info.rows:
        return {}
    encoded, labels, left = [], [], MAX_RECORDS
    for table in iter_tables(folder):
        rows = table.slice(0, left)
        encoded.append(to_numbers(task, task.inputs(rows, info.record), description))
        labels.append(rows.column("label").to_numpy())
        left -= rows.num_rows
        if not left:
            break
    places = positions(description[KEY])
    return {"importance": permuted(predict, np.concatenate(encoded), np.concatenate(labels), places, seed=seed)}


def permuted(
    predict: Predict, encoded: np.ndarray, labels: np.ndarray, positions: Mapping[str, Sequence[int]], *, seed: int
) -> list[dict[str, Any]]:
    """For each column the mean log loss that shuffling adds, its deviation over REPEATS shuffles, and the accuracy lost; most first."""
    base_loss, base_accuracy = _score(predict(encoded), labels)
    rows = []
    for name, places in positions.items():
        random = np.random.default_rng([seed, *name.encode()])  # the same shuffles whatever other columns there are
        changes = []
        for _ in range(REPEATS):
            shuffled = encoded.copy()
            shuffled[:, list(places)] = encoded[random.permutation(len(encoded))][:, list(places)]
            loss, accuracy = _score(predict(shuffled), labels)
            changes.append((loss - base_loss, base_accuracy - accuracy))
        loss_increase, accuracy_lost = np.mean(changes, axis=0)
        deviation = np.std([change for change, _ in changes])
        found = {"loss_increase": loss_increase, "deviation": deviation, "accuracy_lost": accuracy_lost}
        rows.append({"column": name, **{key: round(float(value), 6) for key, value in found.items()}})
    return sorted(rows, key=lambda row: (-row["loss_increase"], row["column"]))


def _score(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_label, 1e-12, 1)).mean()), float((probabilities.argmax(axis=1) == labels).mean())
