"""What in a record spoke for the class it was given: what leaving a piece out does to the probability (occlusion; Zeiler and Fergus 2014).

Of the worst mistakes only, because each piece costs a prediction. It tells what this model read, not what is true of the world.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.training.encoding import to_numbers

if TYPE_CHECKING:
    from headrace.tasks.contract import ExplainedTask, Task
    from headrace.training.predict import Predict

MISTAKES = 24
"""As many as `evaluate.options.worst_mistakes` lists by default."""

PIECES = 64
"""Of one record at most: of a longer one several words at a time are left out."""

SHOWN = 8
"""Pieces of a record that are kept, those that moved its probability most."""


def explain_mistakes(
    predict: "Predict",
    task: "Task",
    folder: Path,
    ids: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    description: Mapping[str, Any],
) -> dict[str, list[dict[str, Any]]]:
    """By id of the worst mistakes: `start`, `end` and `weight` of the pieces that mattered, most first.

    `weight` is the probability of the predicted class minus what it is without the piece. Empty for a task without `pieces`.

    Args:
        predict: encoded inputs to probabilities.
        task: of the data.
        folder: the data set that was predicted.
        ids: of its records.
        labels: true classes, int64 (N,).
        probabilities: of its records, (N, K).
        description: of the program.
    """
    if not hasattr(task, "pieces"):
        return {}
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = sorted(wrong.tolist(), key=lambda row: (float(probabilities[row, labels[row]]), ids[row]))[:MISTAKES]
    inputs = _inputs(task, folder, {ids[row] for row in worst})
    found = {}
    for row in worst:
        at = int(predicted[row])
        weights = _weights(predict, cast("ExplainedTask", task), inputs[ids[row]], at, float(probabilities[row, at]), description)
        found[ids[row]] = sorted(weights, key=lambda each: (-abs(each["weight"]), each["start"]))[:SHOWN]
    return found


def _weights(
    predict: "Predict", task: "ExplainedTask", record: Any, at: int, whole: float, description: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Of each piece of one record."""
    pieces = list(task.pieces(record))
    if len(pieces) < 2:  # without its only piece nothing is left to judge
        return []
    runs = np.array_split(np.arange(len(pieces)), min(PIECES, len(pieces)))
    spans = [(pieces[run[0]][0], pieces[run[-1]][1]) for run in runs]
    without = np.empty(len(spans), dtype=object)
    without[:] = [record[:start] + record[end:] for start, end in spans]
    left = predict(to_numbers(task, without, description))[:, at]
    return [
        {"start": start, "end": end, "weight": round(whole - float(value), 4)}
        for (start, end), value in zip(spans, left, strict=True)
    ]


def _inputs(task: "Task", folder: Path, wanted: set[str]) -> dict[str, Any]:
    record = read_info(folder).record
    found: dict[str, Any] = {}
    for table in iter_tables(folder):
        ids = table.column("id").to_pylist()
        mask = [key in wanted for key in ids]
        if any(mask):
            chosen = table.filter(pa.array(mask))
            found |= dict(zip(chosen.column("id").to_pylist(), task.inputs(chosen, record), strict=True))
    return found
