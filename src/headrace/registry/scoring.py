"""A registered package's predictions on a test split, computed from the package itself and kept by digests."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import RegistryError
from headrace.evaluation.predictions import Decisions, read_predictions
from headrace.evaluation.scores import Scores, read_scores
from headrace.plugins import resolve
from headrace.registry.packages import OPENERS, Package, task_encode
from headrace.storage.local import atomic_path
from headrace.tasks.contract import targets_of

if TYPE_CHECKING:
    from headrace.registry.pyfunc import PackagedModel

ROWS_AT_ONCE = 512

INVALID = -1
"""Predicted class where the model gave no finite probabilities: never right."""

WORST = -1e9
"""Score where the model gave none that is finite."""


def predict_package(package: Package, split: Path, *, cache: Path) -> Decisions | Scores:
    """Predicted classes of a package on a split, or scores where it has none, computed once per (package digest, split digest).

    Raises:
        DataError: the split is missing or damaged.
        RegistryError: the program is refused, because it would run code, or does not load in this environment.
    """
    info = read_info(split)
    ids: list[str] = []
    labels: list[np.ndarray] = []
    for table in iter_tables(split, ["id", "label"]):
        ids += table.column("id").to_pylist()
        labels.append(table.column("label").to_numpy())
    known = np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)
    kept = cache / f"{package.digest[:32]}-{info.digest[:32]}.npy"
    predicted = _load(kept, len(ids))
    if predicted is None:
        predicted = _predict(package, split, info.task, info.record)
        with atomic_path(kept) as temporary:
            np.save(temporary, predicted, allow_pickle=False)
    return Decisions(ids, known, predicted) if info.classes else Scores(ids, predicted)


def read_own(predictions: Path, package: Package, split: str) -> Decisions | Scores:
    """What the trainer of a package wrote of a split.

    Raises:
        DataError: predictions that cannot be trusted.
    """
    classes = package.model["classes"]
    return read_predictions(predictions, split, classes=len(classes)) if classes else read_scores(predictions, split)


def open_package(package: Package) -> "PackagedModel":
    """The package ready to predict.

    Raises:
        RegistryError: the program is refused, because it would run code, or does not load in this environment.
    """
    from headrace.registry.pyfunc import PackagedModel, encoding_of, program_file

    opener = importlib.import_module(f"headrace.training.{OPENERS[program_file(package.folder)]}")
    encode = task_encode(package.model["task"]) if encoding_of(package.folder) is not None else None
    try:
        return PackagedModel(package.folder, opener.open_function, encode)
    except opener.ProgramRefused as error:
        raise RegistryError(f"The package is not used. {error}") from None
    except Exception as error:
        raise RegistryError(
            f"The package is intact, but its program cannot be loaded here: {' '.join(str(error).split())[:300]}. "
            f"Compare in an environment of its requirements.txt ({package.folder / 'requirements.txt'})."
        ) from error


def _predict(package: Package, split: Path, task_name: str, record: Mapping[str, Any]) -> np.ndarray:
    model = open_package(package)
    task = resolve("tasks", task_name, None, where="task of the test split")
    score, size = getattr(task, "score", None), getattr(task, "BATCH_RECORDS", ROWS_AT_ONCE)
    parts: list[np.ndarray] = []
    for table in iter_tables(split):
        inputs, targets = task.inputs(table, record), targets_of(task, table, record)
        for start in range(0, len(inputs), size):
            probabilities = model.predict(inputs[start : start + size])
            if score is not None:
                scores = score(probabilities, inputs[start : start + size], targets[start : start + size])
                parts.append(np.nan_to_num(scores, nan=WORST, neginf=WORST))
                continue
            classes = probabilities.argmax(axis=1).astype(np.int64)
            parts.append(np.where(np.isfinite(probabilities).all(axis=1), classes, INVALID))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _load(path: Path, rows: int) -> np.ndarray | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return found if found.shape == (rows,) else None
