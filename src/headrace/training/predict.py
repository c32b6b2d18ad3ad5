"""Probabilities of a data set, streamed in batches."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables, read_schema
from headrace.tasks.contract import targets_of
from headrace.training.attribution import explain_mistakes
from headrace.training.encoding import to_numbers
from headrace.training.predictions import write_predictions
from headrace.training.scores import write_scores

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

BATCH_RECORDS = 500

Predict = Callable[[np.ndarray], np.ndarray]
"""Inputs as a program takes them, (N, ...), to probabilities (N, K), or to what else it gives, float32."""


def predict_folder(
    program: Predict, folder: Path, task: "Task", *, description: Mapping[str, Any] | None = None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, labels (N,) int64 and probabilities (N, K) float32 of a data set, in its order.

    Of a scored task scores (N,) float64; of a measured one targets (N,) float64, and beside the scores what was predicted, (N, 2).

    Args:
        program: encoded inputs to probabilities.
        folder: a data set.
        task: turns payload columns into arrays.
        description: of the program: how records that are no numbers are encoded.
    """
    record = read_info(folder).record
    size, score = getattr(task, "BATCH_RECORDS", BATCH_RECORDS), getattr(task, "score", None)
    ids: list[str] = []
    labels: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    for table in iter_tables(folder):
        ids += table.column("id").to_pylist()
        targets = targets_of(task, table, record)
        labels.append(targets)
        inputs = task.inputs(table, record)
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            found = program(to_numbers(task, batch, description or {}))
            if score is None:
                parts.append(found)
                continue
            scores = score(found, batch, targets[start : start + size])
            parts.append(np.stack([scores, found[:, 0]], axis=1) if hasattr(task, "targets") else scores)
    return ids, np.concatenate(labels), np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def predict_splits(
    program: Predict,
    folders: Mapping[str, Path],
    path: Path,
    task: "Task",
    *,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write predictions.parquet for named data sets, in the order given.

    Of a task with pieces the file also says what the worst mistakes on `test` are due to.

    Args:
        program: as in `predict_folder`.
        folders: split name to data set folder; a data set without records is left out.
        path: predictions file to write.
        task: as in `predict_folder`.
        description: as in `predict_folder`.
    """
    ids: list[str] = []
    splits: list[str] = []
    labels: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    measured: dict[str, list[np.ndarray]] = {}
    attributions: dict[str, list[dict[str, Any]]] = {}
    for split, folder in folders.items():
        found, truth, probabilities = predict_folder(program, folder, task, description=description)
        if not found:
            continue
        ids += found
        splits += [split] * len(found)
        labels.append(truth)
        parts.append(probabilities)
        if split == "test":
            attributions = explain_mistakes(program, task, folder, found, truth, probabilities, description or {})
        for name in read_info(folder).record.get("slices", getattr(task, "SLICES", ())):
            measured.setdefault(name, []).extend(_measured(table.column(name)) for table in iter_tables(folder, [name]))
    columns_of = {name: np.concatenate(columns) for name, columns in measured.items()}
    if hasattr(task, "targets"):
        scores, predicted = np.concatenate(parts).T
        columns_of = {"target": np.concatenate(labels), "predicted": predicted, **columns_of, **_several_sources(folders)}
        write_scores(path, ids=ids, splits=splits, scores=scores, measured=columns_of)
        return
    if hasattr(task, "score"):
        write_scores(path, ids=ids, splits=splits, scores=np.concatenate(parts), measured=columns_of)
        return
    write_predictions(
        path,
        ids=ids,
        splits=splits,
        labels=np.concatenate(labels),
        probabilities=np.concatenate(parts),
        measured=columns_of | _several_sources(folders),
        attributions=attributions,
    )


def _several_sources(folders: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """The column `source` where the records come from more than one: then the score is looked at for each."""
    tables = [
        table for folder in folders.values() if "source" in read_schema(folder).names for table in iter_tables(folder, ["source"])
    ]
    found = np.array([source for table in tables for source in table.column("source").to_pylist()], dtype=object)
    return {"source": found} if len(set(found)) > 1 else {}


def _measured(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers as they are; of names a missing one is called missing."""
    found: np.ndarray = (column.fill_null("missing") if pa.types.is_string(column.type) else column).to_numpy()
    return found
