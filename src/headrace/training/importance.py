"""Permutation importance: how much worse a model gets when one column is shuffled over the records (Breiman 2001).

It tells what this model relies on, not what is true of the world: of two columns that say the same, each may look idle.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.tasks.contract import targets_of
from headrace.training.encoding import KEY, to_numbers

if TYPE_CHECKING:
    from headrace.tasks.contract import MeasuredTask, Task

MAX_RECORDS = 2000
REPEATS = 5

Predict = Callable[[np.ndarray], np.ndarray]
"""Encoded records (N, F) to probabilities (N, K), or to numbers (N, 1)."""


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
    inputs, targets, left = [], [], MAX_RECORDS
    for table in iter_tables(folder):
        rows = table.slice(0, left)
        inputs.append(task.inputs(rows, info.record))
        targets.append(targets_of(task, rows, info.record))
        left -= rows.num_rows
        if not left:
            break
    places = positions(description[KEY])
    raw = np.concatenate(inputs)
    encoded, measure = to_numbers(task, raw, description), None
    if hasattr(task, "targets"):
        measure = partial(_error, cast("MeasuredTask", task), raw)
    return {"importance": permuted(predict, encoded, np.concatenate(targets), places, seed=seed, measure=measure)}


def permuted(
    predict: Predict,
    encoded: np.ndarray,
    targets: np.ndarray,
    positions: Mapping[str, Sequence[int]],
    *,
    seed: int,
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """For each column what shuffling adds to the loss, its deviation over REPEATS shuffles, and the accuracy lost; most first.

    Args:
        predict: the model.
        encoded: records (N, F).
        targets: labels (N,), or what `measure` takes.
        positions: of each column, where its numbers stand in a record.
        seed: of the shuffles.
        measure: `(answers, targets) -> {"loss": ..., and what else is lost}`; None: log loss and accuracy of classes.
    """
    measure = measure or _losses
    before = measure(predict(encoded), targets)
    rows = []
    for name, places in positions.items():
        random = np.random.default_rng([seed, *name.encode()])  # the same shuffles whatever other columns there are
        changes: list[dict[str, float]] = []
        for _ in range(REPEATS):
            shuffled = encoded.copy()
            shuffled[:, list(places)] = encoded[random.permutation(len(encoded))][:, list(places)]
            after = measure(predict(shuffled), targets)
            changes.append({key: after[key] - before[key] if key == "loss" else before[key] - after[key] for key in after})
        found = {"loss_increase": np.mean([change["loss"] for change in changes])}
        found["deviation"] = np.std([change["loss"] for change in changes])
        if "accuracy" in before:
            found["accuracy_lost"] = np.mean([change["accuracy"] for change in changes])
        rows.append({"column": name, **{key: round(float(value), 6) for key, value in found.items()}})
    return sorted(rows, key=lambda row: (-row["loss_increase"], row["column"]))


def _losses(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    return {"loss": float(-np.log(np.clip(of_label, 1e-12, 1)).mean()), "accuracy": float(right.mean())}


def _error(task: "MeasuredTask", inputs: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    return {"loss": -float(task.score(answers, inputs, targets).mean())}
