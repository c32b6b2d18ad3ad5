"""Classical models that a trained candidate must not be worse than, on the same split."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from headrace.dataset.schema import DatasetInfo, read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, ParamsError
from headrace.evaluation.predictions import Decisions, Predictions
from headrace.evaluation.scores import Scores
from headrace.params import Section, did_you_mean, parse_section
from headrace.plugins import resolve
from headrace.tasks.contract import targets_of

if TYPE_CHECKING:
    from headrace.tasks.contract import MeasuredTask, Task


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """One model after fitting; `problems` are the solver's own words when it did not converge."""

    name: str
    model: Any
    problems: list[str]


class Models(Protocol):
    """Classical models for one kind of record: a module of headrace/baselines with the task's name."""

    Config: type[Section]
    """Typed settings of the models (`baseline.config` in params.yaml)."""

    NAMES: Sequence[str]
    """What `baseline.models` may name."""

    def make(self, name: str, config: Any, *, seed: int) -> Any:
        """An unfitted scikit-learn classifier for what the task's `features` gives.

        Of a measured task a regressor; of another one without classes a model with `fit` and `score`: one number for each record,
        higher is better.
        """


def find_models(task_name: str, names: Sequence[str], config: Mapping[str, Any]) -> tuple[Models, Section]:
    """The classical models of a task, and their settings typed.

    Raises:
        ParamsError: the task has none, does not know one that is named, or a setting is wrong.
    """
    found: Any = resolve("baselines", task_name, None, where="collect.task")
    if not all(hasattr(found, part) for part in ("Config", "NAMES", "make")):
        raise ParamsError(
            f"task {task_name} has no baselines. Where its features are numbers, write in its module: "
            "`from headrace.baselines.dense import NAMES, Config, make`."
        )
    for name in names:
        if name not in found.NAMES:
            raise ParamsError(
                f"params.yaml: 'baseline.models' names '{name}', which the task lacks.{did_you_mean(name, found.NAMES)}"
            )
    return found, parse_section(config, "baseline.config", found.Config, where="params.yaml")


def fit_baseline(
    name: str, models: Models, config: Section, features: np.ndarray, labels: np.ndarray, *, seed: int
) -> FittedBaseline:
    """Fit one model on `features` (N, F) float32, or what else the task gives, and `labels` (N,) int64.

    The same inputs give the same model. A solver that stops before it converged is no error: its warning is kept for the report.
    """
    # One thread: the sums then have one order on every machine, and on shared cores small matrices lose by spinning threads
    # (logistic regression on 1,236 digits: 0.1 s with one, 7 s with two on two busy cores).
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        model = models.make(name, config, seed=seed).fit(features, labels)
    return FittedBaseline(name, model, [" ".join(str(warning.message).split()).split(". ")[0] for warning in caught])


def predict(fitted: FittedBaseline, features: np.ndarray, *, classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Predicted labels (N,) int64 and probabilities (N, classes) float32; None for a model that gives only a decision.

    A class the model has never seen gets probability 0.
    """
    with threadpool_limits(1):
        predicted = fitted.model.predict(features).astype(np.int64)
        if not hasattr(fitted.model, "predict_proba"):
            return predicted, None
        probabilities = np.zeros((len(features), classes), dtype=np.float32)
        probabilities[:, fitted.model.classes_] = fitted.model.predict_proba(features)
    return predicted, probabilities


def num_features(x: np.ndarray, fitted: Sequence[FittedBaseline]) -> int:
    """Columns of the features; of texts, as many as the models found worth counting."""
    if x.ndim > 1:
        return int(x.shape[1])
    if hasattr(fitted[0].model, "encoding"):
        return max(int(model.model.encoding["shape"][-1]) for model in fitted)
    last = [model.model[-1] if isinstance(model.model, Pipeline) else model.model for model in fitted]
    return max(int(getattr(each, "n_features_in_", 0)) for each in last)


def draw_training_sample(folder: Path, task: "Task", *, max_records: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, F) and labels, or targets, (N,) of at most `max_records` records, drawn without replacement by `seed`.

    Only the chosen records are ever in memory together.

    Raises:
        DataError: no records, an unknown label, or fewer than two classes to tell apart.
    """
    info = read_info(folder)
    chosen = np.zeros(info.rows, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(info.rows)[:max_records]] = True
    features, labels, first = [], [], 0
    for table in iter_tables(folder):
        picked = table.filter(pa.array(chosen[first : first + table.num_rows]))
        first += table.num_rows
        if picked.num_rows:
            features.append(_finite(task.features(picked, info.record), picked))
            labels.append(targets_of(task, picked, info.record))
    if not labels:
        raise DataError(f"{folder} has no records, so there is nothing to fit a baseline on. Check the split.")
    y = np.concatenate(labels)
    _check_labels(y, folder, info)
    present = np.unique(y)
    if info.classes and len(present) < 2:
        raise DataError(
            f"The {len(y)} training records drawn from {folder} all belong to class '{info.classes[int(present[0])]}': nothing "
            f"can be learned from one class. Add records of another class, or raise baseline.max_records."
        )
    return np.concatenate(features), y


def predict_split(fitted: Sequence[FittedBaseline], folder: Path, task: "Task") -> dict[str, Decisions]:
    """Each model's predictions on a split, streamed: features of one row group at a time.

    Raises:
        DataError: the split has no records, or a label or feature that cannot be used.
    """
    info = read_info(folder)
    ids: list[str] = []
    labels: list[np.ndarray] = []
    outcomes: dict[str, list[tuple[np.ndarray, np.ndarray | None]]] = {model.name: [] for model in fitted}
    for table in iter_tables(folder):
        if table.num_rows == 0:
            continue
        ids += table.column("id").to_pylist()
        labels.append(table.column("label").to_numpy())
        _check_labels(labels[-1], folder, info)
        features = _finite(task.features(table, info.record), table)
        for model in fitted:
            outcomes[model.name].append(predict(model, features, classes=len(info.classes)))
    if not ids:
        raise DataError(f"{folder} has no records, so nothing can be measured. Check the fractions of `split`.")
    y = np.concatenate(labels)
    return {name: _join(ids, y, parts) for name, parts in outcomes.items()}


def score_split(fitted: Sequence[FittedBaseline], folder: Path, task: "Task") -> dict[str, Scores]:
    """Each model's score of each record of a split without classes, streamed as in `predict_split`.

    Raises:
        DataError: the split has no records.
    """
    info = read_info(folder)
    ids: list[str] = []
    found: dict[str, list[np.ndarray]] = {model.name: [] for model in fitted}
    for table in iter_tables(folder):
        ids += table.column("id").to_pylist()
        features = task.features(table, info.record)
        for model in fitted:
            found[model.name].append(_scores(model, features, task, table, info.record))
    if not ids:
        raise DataError(f"{folder} has no records, so nothing can be measured. Check the fractions of `split`.")
    return {name: Scores(ids, np.concatenate(parts)) for name, parts in found.items()}


def _scores(fitted: FittedBaseline, features: np.ndarray, task: "Task", table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
    if not hasattr(task, "targets"):
        found: np.ndarray = fitted.model.score(features)
        return found
    with threadpool_limits(1):
        predicted = np.asarray(fitted.model.predict(features), np.float64)
    return cast("MeasuredTask", task).score(predicted[:, None], task.inputs(table, record), targets_of(task, table, record))


def _join(ids: list[str], labels: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray | None]]) -> Decisions:
    predicted = np.concatenate([part for part, _ in parts])
    known = [probabilities for _, probabilities in parts if probabilities is not None]
    return Predictions(ids, labels, predicted, np.concatenate(known)) if known else Decisions(ids, labels, predicted)


def _check_labels(labels: np.ndarray, folder: Path, info: DatasetInfo) -> None:
    outside = labels[(labels < 0) | (labels >= len(info.classes))]
    if info.classes and outside.size:
        raise DataError(
            f"{folder} holds {outside.size} records with label {outside[0]}, outside the {len(info.classes)} classes of the data "
            f"set. `validate` quarantines such records; rerun it."
        )


def _finite(features: np.ndarray, table: pa.Table) -> np.ndarray:
    if features.dtype.kind != "f":
        return features  # texts, which the models count themselves
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        where = table.column("id")[int(np.argmax(bad))]
        raise DataError(
            f"{int(bad.sum())} records have features that are not finite numbers, such as {where}. Check them in `validate`."
        )
    return features
