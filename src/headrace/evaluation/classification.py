"""Judge a classifier from saved probabilities. Every metric is scikit-learn's own, except the calibration error."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from headrace.errors import DataError
from headrace.evaluation.calibration import expected_calibration_error, reliability
from headrace.evaluation.contract import Judgement
from headrace.evaluation.mistakes import confused_pairs, worst_mistakes
from headrace.evaluation.own import own_metrics
from headrace.evaluation.plots import draw
from headrace.evaluation.predictions import Predictions, read_attributions, read_baselines, read_measured, read_predictions
from headrace.evaluation.significance import wilson_interval
from headrace.evaluation.slices import parts
from headrace.params import Section

__all__ = ["Options", "draw", "judge"]

CURVE_POINTS = 200
"""Points of one class's curve kept for plots; metrics use them all."""


class Options(Section):
    """How a classifier is judged."""

    calibration_bins: Annotated[int, Field(ge=1, le=1000)] = 15
    """Equal-width confidence bins over [0, 1]."""
    worst_mistakes: Annotated[int, Field(ge=0, le=1000)] = 24
    """Mistakes listed with their ids, worst first."""
    confused_pairs: Annotated[int, Field(ge=0, le=1000)] = 10
    metrics: dict[str, str] = Field(default={})
    """Metrics of your own by name, each `module:function`, called as function(labels=, probabilities=) with int64 (N,) and float (N, K);
    `thresholds` may name them."""


def judge(predictions: Path, baselines: Path, model: dict[str, Any], options: Options) -> Judgement:
    """Score the test split of `predictions` and read the baselines for the same records.

    Raises:
        DataError: predictions that are NaN, no probabilities, of other classes, or of other records than the baselines'.
    """
    classes = [str(name) for name in model.get("classes", [])]
    if len(classes) < 2:
        raise DataError(f"model.json names {len(classes)} classes; a classifier needs two. Rerun `train`.")
    test = read_predictions(predictions, "test", classes=len(classes))
    others = read_baselines(baselines, test, classes=len(classes))
    per_class, notes = _per_class(test, classes)
    confusion = confusion_matrix(test.labels, test.predicted, labels=np.arange(len(classes)))
    slices = _slices(test, read_measured(predictions, test.ids))
    attributions = read_attributions(predictions)
    worst = worst_mistakes(test.ids, test.labels, test.predicted, test.probabilities, classes, limit=options.worst_mistakes)
    importance = [dict(row) for row in model.get("training", {}).get("importance", ())]
    bins = reliability(test.probabilities, test.labels, bins=options.calibration_bins)
    metrics = _metrics(test, per_class, bins=options.calibration_bins)
    return Judgement(
        records=len(test.ids),
        digest=test.digest(),
        score_name="accuracy",
        scores=test.correct,
        baseline_scores={name: other.correct for name, other in others.items()},
        metrics={**metrics, **own_metrics(options.metrics, metrics, labels=test.labels, probabilities=test.probabilities)},
        notes=notes,
        details={
            "classes": classes,
            "per_class": per_class,
            "confused_pairs": confused_pairs(confusion, classes, limit=options.confused_pairs),
            "worst_mistakes": [
                row | {"attributions": attributions[row["id"]]} if row["id"] in attributions else row for row in worst
            ],
            "num_mistakes": int((~test.correct).sum()),
            "mean_confidence": float(test.probabilities.max(axis=1).mean(dtype=np.float64)),
            **({"slices": slices} if slices else {}),
            **({"importance": importance} if importance else {}),
        },
        tables={
            **_curves(test, classes),
            "calibration": bins,
            "confusion": _confusion_rows(test, classes),
            "confusion_counts": _confusion_counts(confusion, classes),
            "per_class": per_class,
            "slices": slices,
            "importance": importance,
        },
    )


def _metrics(test: Predictions, per_class: list[dict[str, Any]], *, bins: int) -> dict[str, float | None]:
    """The headline numbers; averages are over the classes that occur in the test split."""
    present = np.unique(test.labels)
    macro = precision_recall_fscore_support(test.labels, test.predicted, labels=present, average="macro", zero_division=0)
    weighted = precision_recall_fscore_support(test.labels, test.predicted, labels=present, average="weighted", zero_division=0)
    return {
        "accuracy": float(accuracy_score(test.labels, test.predicted)),
        "precision_macro": float(macro[0]),
        "recall_macro": float(macro[1]),
        "f1_macro": float(macro[2]),
        "f1_weighted": float(weighted[2]),
        "roc_auc_macro": _mean_defined([row["roc_auc"] for row in per_class]),
        "average_precision_macro": _mean_defined([row["average_precision"] for row in per_class]),
        "log_loss": float(log_loss(test.labels, test.probabilities, labels=np.arange(test.probabilities.shape[1]))),
        "ece": expected_calibration_error(test.probabilities, test.labels, bins=bins),
    }


def _per_class(test: Predictions, classes: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """One row per class, and a note for every number that is undefined."""
    everything = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        test.labels, test.predicted, labels=everything, average=None, zero_division=0
    )
    predicted = np.bincount(test.predicted, minlength=len(classes))
    rows: list[dict[str, Any]] = []
    notes = []
    for k, name in enumerate(classes):
        row: dict[str, Any] = {"class": name, "support": int(support[k])}
        if support[k] == 0:
            empty = ("precision", "recall", "recall_low", "recall_high", "f1", "roc_auc", "average_precision")
            rows.append(row | dict.fromkeys(empty))
            notes.append(f"No record of class '{name}' in the test split: its metrics are undefined, averages leave it out.")
            continue
        if predicted[k] == 0:
            notes.append(f"Class '{name}' is never predicted: its precision counts as 0.")
        low, high = wilson_interval(round(recall[k] * support[k]), int(support[k]))
        positive, score = test.labels == k, test.probabilities[:, k]
        row |= {
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "recall_low": low,
            "recall_high": high,
            "f1": float(f1[k]),
        }
        row["roc_auc"] = None if positive.all() else float(roc_auc_score(positive, score))
        row["average_precision"] = float(average_precision_score(positive, score))
        if positive.all():
            notes.append(f"Every test record is of class '{name}': there is nothing to rank it against, its AUC is undefined.")
        rows.append(row)
    return rows, notes


def _slices(test: Predictions, measured: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Accuracy over the parts of the test records."""
    rows = []
    for row, inside in parts(measured):
        right, records = int(test.correct[inside].sum()), int(row["records"])
        low, high = wilson_interval(right, records)
        rows.append(row | {"accuracy": right / records, "accuracy_low": low, "accuracy_high": high})
    return rows


def _mean_defined(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _confusion_rows(test: Predictions, classes: list[str]) -> list[dict[str, Any]]:
    """One row per record, as the `confusion` template of `dvc plots` counts them."""
    return [{"actual": classes[a], "predicted": classes[p]} for a, p in zip(test.labels, test.predicted, strict=True)]


def _confusion_counts(confusion: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """The cells of the matrix that are not zero."""
    cells = zip(*np.nonzero(confusion), strict=True)
    return [{"actual": classes[i], "predicted": classes[j], "count": int(confusion[i, j])} for i, j in cells]


def _curves(test: Predictions, classes: list[str]) -> dict[str, list[dict[str, Any]]]:
    roc: list[dict[str, Any]] = []
    pr: list[dict[str, Any]] = []
    for k, name in enumerate(classes):
        positive, score = test.labels == k, test.probabilities[:, k]
        if not positive.any():
            continue
        precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
        pr += [{"class": name, "recall": float(r), "precision": float(p)} for r, p in _thin(recall[::-1], precision[::-1])]
        if not positive.all():
            false_rate, true_rate, _ = roc_curve(positive, score)
            roc += [{"class": name, "fpr": float(f), "tpr": float(t)} for f, t in _thin(false_rate, true_rate)]
    return {"roc": roc, "pr": pr}


def _thin(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return list(zip(x[keep].tolist(), y[keep].tolist(), strict=True))
