"""Numbers are judged by their distance from the truth."""

import json

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from headrace.errors import DataError
from headrace.evaluation.page.context import PageContext
from headrace.evaluation.regression import Options, judge
from headrace.evaluation.report import build
from headrace.evaluation.scores import Scores, write_baseline_scores
from headrace.stages.evaluate import Params, run
from headrace.training.scores import write_scores

MODEL = {"format": 1, "task": "tabular_regression", "classes": [], "record": {"target": "price in $"}}
IMPORTANCE = [{"column": "area", "loss_increase": 12.5, "deviation": 0.5}]


@pytest.fixture
def saved(tmp_path):
    """Predictions of 40 records, some far from the truth, and two baselines."""
    random = np.random.default_rng(0)
    targets = random.normal(200, 50, 40)
    predicted = targets + random.normal(5, 10, 40)
    predicted[3] += 400
    ids = [f"{n:032x}" for n in range(40)]
    write_scores(
        tmp_path / "predictions.parquet",
        ids=ids,
        splits=["test"] * 40,
        scores=-np.abs(predicted - targets),
        measured={"target": targets, "predicted": predicted, "district": np.array(["old", "new"] * 20, dtype=object)},
    )
    mean = Scores(ids, -np.abs(targets - 200))
    write_baseline_scores(tmp_path / "baselines.parquet", {"mean": mean, "always_0": Scores(ids, -np.abs(targets))})
    return tmp_path, targets, predicted


def judged_of(folder, **options):
    return judge(folder / "predictions.parquet", folder / "baselines.parquet", MODEL, Options(**options))


def test_metrics_are_those_of_scikit_learn(saved):
    """Under names that thresholds can hold."""
    folder, targets, predicted = saved

    metrics = judged_of(folder).metrics

    expected = {
        "mae": mean_absolute_error(targets, predicted),
        "negative_mae": -mean_absolute_error(targets, predicted),
        "rmse": root_mean_squared_error(targets, predicted),
        "r2": r2_score(targets, predicted),
        "median_absolute_error": median_absolute_error(targets, predicted),
        "bias": float((predicted - targets).mean()),
    }
    assert metrics == pytest.approx(expected)


def test_the_worst_mistake_comes_first_and_slices_hold_every_record(saved):
    """Quarters of the target, and the names of a column."""
    folder, targets, predicted = saved

    details = judged_of(folder, worst_mistakes=2).details

    assert details["worst_mistakes"][0]["id"] == f"{3:032x}"
    assert len(details["worst_mistakes"]) == 2
    assert details["worst_mistakes"][0]["error"] == pytest.approx(predicted[3] - targets[3])
    found = [(row["column"], row["records"]) for row in details["slices_of_error"]]
    assert found == [("target", 10)] * 4 + [("district", 20)] * 2


def test_the_same_target_everywhere_has_no_r2(saved):
    """Nothing varies that could be told."""
    folder, _, predicted = saved
    ids = [f"{n:032x}" for n in range(40)]
    write_scores(
        folder / "predictions.parquet",
        ids=ids,
        splits=["test"] * 40,
        scores=-np.abs(predicted - 7),
        measured={"target": np.full(40, 7.0), "predicted": predicted},
    )

    assert judged_of(folder).metrics["r2"] is None


@pytest.mark.badinput
def test_scores_that_are_no_distances_are_refused(saved):
    """An own trainer may have mixed up its columns."""
    folder, targets, predicted = saved
    ids = [f"{n:032x}" for n in range(40)]
    write_scores(
        folder / "predictions.parquet",
        ids=ids,
        splits=["test"] * 40,
        scores=np.zeros(40),
        measured={"target": targets, "predicted": predicted},
    )

    with pytest.raises(DataError, match="not the distance"):
        judged_of(folder)


@pytest.mark.badinput
def test_predictions_without_targets_are_refused(saved):
    """Scores alone tell no error."""
    folder, _, _ = saved
    ids = [f"{n:032x}" for n in range(40)]
    write_scores(folder / "predictions.parquet", ids=ids, splits=["test"] * 40, scores=np.zeros(40))

    with pytest.raises(DataError, match="no column 'target'"):
        judged_of(folder)


def test_the_page_shows_errors_without_a_minus(saved):
    """The score is negative so that higher is better; a reader is told the error, the smaller end of its interval first."""
    folder, targets, predicted = saved
    model = {**MODEL, "training": {"importance": IMPORTANCE}}
    (folder / "model.json").write_text(json.dumps(model))
    report = run(
        Params(evaluation="regression", thresholds={"max_mae": 100}, resamples=200),
        model=folder / "model.json",
        predictions=folder / "predictions.parquet",
        baselines=folder / "baselines.parquet",
        plots=folder / "reports" / "plots" / "evaluate",
    )
    (folder / "reports" / "evaluate.json").write_text(report.to_json())

    page = build(folder, PageContext(title="houses"))

    mae, low, high = (f"{value:#.4g}" for value in (np.abs(predicted - targets).mean(), -report.score_high, -report.score_low))
    assert f"mean absolute error {mae}, with 95\N{NO-BREAK SPACE}% confidence {low} to {high}." in page
    best = report.comparison[0]
    ends = [f"{-end:+#.4g}" for end in (best.difference, best.difference_high, best.difference_low)]
    title = next(figure["title"] for figure in report.figures if figure["name"] == "comparison")
    assert title.endswith("difference in MAE {}, interval {} to {}".format(*ends))
    assert f'"n">{ends[0]}<'.replace("-", "\N{MINUS SIGN}") in page
    assert "Error added" in page
    assert "+12.50" in page
    assert "Accuracy" not in page
    assert page.count("<circle") > 80
    assert {figure["name"] for figure in report.figures} == {"comparison", "predicted", "residuals", "importance"}


def test_the_same_numbers_give_the_same_figures(saved):
    """DVC hashes them."""
    folder, _, _ = saved
    (folder / "model.json").write_text(json.dumps(MODEL))
    made = []
    for name in ("one", "two"):
        plots = folder / name
        run(
            Params(evaluation="regression", resamples=200),
            model=folder / "model.json",
            predictions=folder / "predictions.parquet",
            baselines=folder / "baselines.parquet",
            plots=plots,
        )
        made.append({path.name: path.read_bytes() for path in sorted(plots.iterdir())})

    assert made[0] == made[1]
    assert {"comparison.png", "predicted.png", "residuals.png", "predictions.csv", "errors.csv"} <= set(made[0])
