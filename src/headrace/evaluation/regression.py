"""Judge numbers by how far they are from the truth, in the unit of the target, beside the baselines on the same records."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from matplotlib.axes import Axes
from pydantic import Field

from headrace.errors import DataError
from headrace.evaluation.contract import Judgement
from headrace.evaluation.measures import figure, write_difference
from headrace.evaluation.own import own_metrics
from headrace.evaluation.plots import BLUE, SLATE, paint_importance, paint_losses, save
from headrace.evaluation.predictions import read_measured
from headrace.evaluation.scores import read_baseline_scores, read_scores
from headrace.evaluation.significance import Comparison, mean_interval
from headrace.evaluation.slices import parts
from headrace.evaluation.titles import importance_title
from headrace.params import Section

SCORE = "negative_mae"
"""The mean absolute error with a minus, so that higher is better as for every score."""

MAX_POINTS = 1000
"""Records drawn and kept for plots; metrics use them all."""


SLICE_RESAMPLES = 2000


class Options(Section):
    """How numbers are judged."""

    worst_mistakes: Annotated[int, Field(ge=0, le=1000)] = 12
    """Records listed with their ids, those farthest from the truth first."""
    metrics: dict[str, str] = Field(default={})
    """Metrics of your own by name, each `module:function`, called as function(targets=, predicted=) with float64 (N,); `thresholds` may
    name them."""


def judge(predictions: Path, baselines: Path, model: dict[str, Any], options: Options) -> Judgement:
    """Errors on the test split of `predictions`, and those of the baselines on the same records.

    Raises:
        DataError: numbers that are not finite, or of other records than the baselines'.
    """
    test = read_scores(predictions, "test")
    others = read_baseline_scores(baselines, test)
    measured = read_measured(predictions, test.ids)
    targets, predicted = (_column(measured, name, predictions) for name in ("target", "predicted"))
    errors = predicted - targets
    if not np.allclose(-test.values, np.abs(errors), rtol=1e-6, atol=1e-9 * float(np.abs(targets).max())):
        raise DataError(f"{predictions}: the column score is not the distance of predicted from target. Rerun `train`.")
    name = str(model.get("record", {}).get("target", "target"))
    table = [{"model": "candidate", **_errors(-test.values, targets)}]
    table += [{"model": other, **_errors(-scores.values, targets)} for other, scores in others.items()]
    metrics: dict[str, float | None] = {
        SCORE: float(test.values.mean()),
        **_errors(-test.values, targets),
        "bias": float(errors.mean()),
    }
    slices = _slices({"target": targets, **measured}, -test.values)
    importance = [dict(row) for row in model.get("training", {}).get("importance", ())]
    worst = sorted(range(len(errors)), key=lambda row: (float(test.values[row]), test.ids[row]))[: options.worst_mistakes]
    points = np.unique(np.linspace(0, len(errors) - 1, min(len(errors), MAX_POINTS)).round().astype(int))
    rows = [{"target": float(targets[n]), "predicted": float(predicted[n]), "error": float(errors[n])} for n in points.tolist()]
    return Judgement(
        records=len(test.ids),
        digest=test.digest(),
        score_name=SCORE,
        scores=test.values,
        baseline_scores={other: scores.values for other, scores in others.items()},
        metrics={**metrics, **own_metrics(options.metrics, metrics, targets=targets, predicted=predicted)},
        notes=[
            f"Errors are in the unit of {name}: what was predicted minus the truth.",
            "A difference of two models is the candidate's error minus the other's; below 0 the candidate is closer to the truth.",
        ],
        details={
            "target": name,
            "charts": _charts(name, targets, errors),
            "shown": [_shown(table), *([_shown_slices(slices, name)] if slices else [])],
            "slices_of_error": slices,
            "worst_mistakes": [
                {"id": test.ids[n], "label": float(targets[n]), "predicted": float(predicted[n]), "error": float(errors[n])}
                for n in worst
            ],
            **({"importance": importance} if importance else {}),
        },
        tables={"errors": table, "predictions": rows, "slices": slices, "importance": importance},
    )


def _column(measured: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """Taken out of what was measured: what is left are slices."""
    if name not in measured:
        raise DataError(f"{path} has no column '{name}', without which there is no error to measure. Rerun `train`.")
    values: np.ndarray = measured.pop(name).astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"{path}: {int((~np.isfinite(values)).sum())} numbers of column '{name}' are NaN or infinite. Rerun `train`."
        )
    return values


def _errors(distances: np.ndarray, targets: np.ndarray) -> dict[str, float | None]:
    """Of absolute errors (N,)."""
    spread = float(((targets - targets.mean()) ** 2).sum())
    return {
        "mae": float(distances.mean()),
        "rmse": float(np.sqrt((distances**2).mean())),
        "r2": 1 - float((distances**2).sum()) / spread if spread > 0 else None,
        "median_absolute_error": float(np.median(distances)),
    }


def _slices(measured: dict[str, np.ndarray], distances: np.ndarray) -> list[dict[str, Any]]:
    found = []
    for row, inside in parts(measured):
        mae, low, high = mean_interval(distances[inside], resamples=SLICE_RESAMPLES, seed=0)
        found.append({**row, "mae": mae, "mae_low": low, "mae_high": high})
    return found


def _shown(table: list[dict[str, Any]]) -> dict[str, Any]:
    """The errors of all models as the page shows them."""
    heads = {"mae": "MAE", "rmse": "RMSE", "r2": "R\N{SUPERSCRIPT TWO}", "median_absolute_error": "median"}
    return {
        "title": "How far each model is from the truth on the test split",
        "columns": ["model", *heads.values()],
        "rows": [[str(row["model"]).replace("_", " "), *(_number(row[key]) for key in heads)] for row in table],
    }


def _shown_slices(slices: list[dict[str, Any]], name: str) -> dict[str, Any]:
    rows = []
    for row in slices:
        column, smallest, largest = name if row["column"] == "target" else row["column"], row["smallest"], row["largest"]
        what = f"{column} {smallest}" if isinstance(smallest, str) else f"{column} {smallest:,g} to {largest:,g}"
        rows.append(
            [what, f"{row['records']:,}", _number(row["mae"]), f"{_number(row['mae_low'])} to {_number(row['mae_high'])}"]
        )
    return {
        "title": "Mean absolute error by what a record is",
        "columns": ["records with", "records", "MAE", "interval"],
        "rows": rows,
    }


def _number(value: float | None) -> str:
    return "undefined" if value is None else figure(value).replace("-", "\N{MINUS SIGN}")


def _charts(name: str, targets: np.ndarray, errors: np.ndarray) -> list[dict[str, str]]:
    """Charts of the table `predictions` for the page."""
    half = len(errors) // 2
    order = np.argsort(targets, kind="stable")
    low, high = float(errors[order[:half]].mean()) if half else 0.0, float(errors[order[half:]].mean())
    pulled = low > 0 > high
    return [
        {
            "title": f"{name[:1].upper()}{name[1:]} as predicted and as it is",
            "table": "predictions",
            "x": "predicted",
            "y": "target",
            "x_label": f"Predicted {name}",
            "y_label": f"True {name}",
            "guide": "diagonal",
        },
        {
            "title": (
                f"Predictions are pulled to the middle: low values are {low:.3g} too high in the mean, high ones {-high:.3g} too low"
                if pulled
                else f"Errors by what was predicted: {errors.mean():+.3g} in the mean"
            ),
            "table": "predictions",
            "x": "predicted",
            "y": "error",
            "x_label": f"Predicted {name}",
            "y_label": "Predicted minus true",
            "guide": "zero",
        },
    ]


def draw(judged: Judgement, interval: tuple[float, float], comparison: list[Comparison], folder: Path) -> dict[str, str]:
    """Write comparison, predicted, residuals and, where it was measured, importance PNG files; returns titles."""
    fitted, residuals = judged.details["charts"]
    label = f"Mean absolute error on {judged.records} test records, with interval"
    figures: dict[str, tuple[str, Callable[[Axes], None], tuple[float, float]]] = {
        "comparison": (
            comparison_title(comparison),
            lambda axes: paint_losses(axes, judged, interval, comparison, label=label, write=figure),
            (6.4, 1.8 + 0.45 * len(comparison)),
        ),
        "predicted": (fitted["title"], lambda axes: _scatter(axes, judged, fitted), (6.4, 4.8)),
        "residuals": (residuals["title"], lambda axes: _scatter(axes, judged, residuals), (6.4, 4.8)),
    }
    if importance := judged.details.get("importance"):
        size = (6.4, max(2.4, 1.4 + 0.3 * min(len(importance), 20)))
        figures["importance"] = (
            importance_title(importance),
            lambda axes: paint_importance(axes, importance, "MAE"),
            size,
        )
    for name, (title, paint, size) in figures.items():
        save(folder / f"{name}.png", title, paint, size)
    return {name: title for name, (title, _, _) in figures.items()}


def comparison_title(comparison: list[Comparison]) -> str:
    """The candidate against the best baseline, in the unit of the target."""
    if not comparison:
        return "There is no baseline to compare with"
    best = comparison[0]
    numbers = write_difference(SCORE, best.difference, best.difference_low, best.difference_high)
    if best.difference_low > 0:
        return f"The candidate is closer to the truth than {best.model}, the best baseline: {numbers}"
    if best.difference_high < 0:
        return f"The candidate is farther from the truth than {best.model}, the best baseline: {numbers}"
    return f"The candidate and {best.model}, the best baseline, differ within chance: {numbers}"


def _scatter(axes: Axes, judged: Judgement, chart: dict[str, str]) -> None:
    rows = judged.tables["predictions"]
    axes.plot([row[chart["x"]] for row in rows], [row[chart["y"]] for row in rows], ".", color=BLUE, alpha=0.5)
    if chart["guide"] == "zero":
        axes.axhline(0, color=SLATE, linewidth=1, linestyle="--")
    else:
        axes.axline((rows[0]["target"], rows[0]["target"]), slope=1, color=SLATE, linewidth=1, linestyle="--")
    axes.set(xlabel=chart["x_label"].replace("$", r"\$"), ylabel=chart["y_label"].replace("$", r"\$"))
