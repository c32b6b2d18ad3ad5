"""What a classical model says of records that it has not seen: each is judged by a model fitted on the other folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedKFold

from headrace.dataset.schema import SPLITS, read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, ParamsError
from headrace.evaluation.baselines import Models, fit_baseline, predict
from headrace.params import Section

if TYPE_CHECKING:
    from headrace.tasks.contract import Task


@dataclass(frozen=True)
class Labelled:
    """Labelled records of all splits, as a classical model takes them."""

    ids: Sequence[str]
    splits: Sequence[str]
    origins: Sequence[str]
    labels: np.ndarray
    """int64 (N,)."""
    features: np.ndarray


def read_labelled(splits: Path, task: "Task", *, max_records: int, seed: int) -> Labelled:
    """At most `max_records` records of train, validation and test, drawn by `seed`; the split has left out copies.

    Raises:
        DataError: the records have no classes, or none is labelled.
    """
    if not read_info(splits / "train").classes:
        raise DataError("records of this task have no classes, so no label can be wrong. Take the stage out of dvc.yaml.")
    rows = sum(read_info(splits / name).rows for name in SPLITS)
    chosen = np.zeros(rows, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(rows)[:max_records]] = True
    found: dict[str, list[Any]] = {"id": [], "origin": [], "split": []}
    labels, features, first = [], [], 0
    for name in SPLITS:
        record = read_info(splits / name).record
        for table in iter_tables(splits / name):
            known = chosen[first : first + table.num_rows] & (table["label"].to_numpy() >= 0)
            first += table.num_rows
            picked = table.filter(pa.array(known))
            if picked.num_rows:
                found["id"] += picked["id"].to_pylist()
                found["origin"] += picked["origin"].to_pylist()
                found["split"] += [name] * picked.num_rows
                labels.append(picked["label"].to_numpy())
                features.append(task.features(picked, record))
    if not labels:
        raise DataError(f"{splits} has no labelled record, so there is nothing to look at. Run `split` again.")
    return Labelled(found["id"], found["split"], found["origin"], np.concatenate(labels), np.concatenate(features))


def choose_model(models: Models, config: Section, name: str | None, *, seed: int) -> str:
    """The named model, or the first of the task's that gives probabilities.

    Raises:
        ParamsError: it gives none, or the task has no such model.
    """
    able = [
        each for each in models.NAMES if each != "majority" and hasattr(models.make(each, config, seed=seed), "predict_proba")
    ]
    if name is None and able:
        return able[0]
    if name not in able:
        wanted = (
            f"'suspects.model' is '{name}', which gives no probabilities"
            if name
            else "no baseline of the task gives probabilities"
        )
        raise ParamsError(f"params.yaml: {wanted}. Those that do: {', '.join(able) or 'none'}.")
    return name


def judged_classes(labels: np.ndarray, folds: int) -> np.ndarray:
    """Classes with a record in every fold, ascending; of the others a fold would know nothing.

    Raises:
        DataError: fewer than two.
    """
    classes, counts = np.unique(labels, return_counts=True)
    enough: np.ndarray = classes[counts >= folds]
    if len(enough) < 2:
        raise DataError(f"fewer than two classes have {folds} labelled records each. Lower suspects.folds, or add records.")
    return enough


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, models: Models, config: Section, name: str, *, folds: int, seed: int
) -> np.ndarray:
    """Probabilities (N, K) float64 of the classes 0 to K - 1, each row by a model that has not seen its record; rows sum to 1."""
    classes = int(labels.max()) + 1
    found = np.zeros((len(labels), classes))
    for seen, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels):
        fitted = fit_baseline(name, models, config, features[seen], labels[seen], seed=seed)
        probabilities = predict(fitted, features[held_out], classes=classes)[1]
        if probabilities is not None:
            found[held_out] = probabilities
    return np.asarray(found / found.sum(axis=1, keepdims=True))
