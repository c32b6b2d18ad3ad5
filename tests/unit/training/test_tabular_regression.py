"""From raw rows to a number each: the same in training, from the package, and where only MLflow, torch and numpy are."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.unit import candidates
from tests.unit.tables import houses, write_houses

from headrace.errors import DataError, ParamsError
from headrace.evaluation import regression
from headrace.evaluation.baselines import draw_training_sample, find_models, fit_baseline, score_split
from headrace.evaluation.scores import write_baseline_scores
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.tasks import tabular_regression as task
from headrace.training.losses import find_loss
from headrace.training.predictor import load_predictor
from headrace.training.tabular_regression import measure_targets, scale_targets

SETTINGS = {**candidates.ROW_NETWORK, "epochs": 15}


def train(project: Path, **changes):
    return candidates.train({**SETTINGS, **changes}, project)


def write_splits(project: Path) -> None:
    candidates.write_splits(project, write_houses, houses)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of rows, a trained candidate with its predictions, and its package."""
    root = tmp_path_factory.mktemp("project")
    write_splits(root)
    (root / "train.json").write_text(train(root).to_json())
    candidates.package(root)
    return root


def raw_rows() -> list[dict[str, str]]:
    """The rows of the test split as the CSV file had them, blanks and all, without the price."""
    return [{name: value for name, value in row.items() if name != "price"} for row in houses(1000, seed=2)]


def of_test(project: Path, name: str) -> np.ndarray:
    """A column of what training wrote of the test split."""
    table = pq.read_table(project / "predictions.parquet")
    inside = [split == "test" for split in table["split"].to_pylist()]
    return table[name].to_numpy()[inside]


def test_it_learns_prices_in_their_own_unit(project):
    """Hundreds of thousands, told by area and district: a hundredth of their spread is left."""
    targets = of_test(project, "target")

    np.testing.assert_array_equal(targets, [float(row["price"]) for row in houses(1000, seed=2)])
    np.testing.assert_allclose(of_test(project, "score"), -np.abs(of_test(project, "predicted") - targets))
    assert 1 - np.var(of_test(project, "predicted") - targets) / np.var(targets) > 0.9
    assert json.loads((project / "train.json").read_text())["validation_accuracy"] is None


def test_our_predictor_answers_raw_rows_as_training_did(project):
    """A thousand records, blanks among them, from text; the scale of the target is inside of the program."""
    np.testing.assert_allclose(load_predictor(project / "package")(raw_rows())[:, 0], of_test(project, "predicted"), rtol=1e-5)


def test_mlflow_answers_raw_rows_as_training_did_without_headrace(project):
    """The module that rows share travels with the model, not the task's own."""
    answers = candidates.answers_elsewhere(project, raw_rows())

    np.testing.assert_allclose(answers[:, 0], of_test(project, "predicted"), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_rows_as_its_signature_says(project, tmp_path):
    """A frame of cells as they came."""
    import mlflow.pyfunc
    import pandas as pd

    lay_out(read_package(project / "package"), [], tmp_path / "model", model_id="m-1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))

    np.testing.assert_allclose(model.predict(pd.DataFrame(raw_rows()))[:, 0], of_test(project, "predicted"), rtol=1e-5)


def test_a_comparison_in_the_registry_scores_distances(project, tmp_path):
    """`promote` runs champion and challenger on the same split."""
    scored = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_allclose(scored.values, of_test(project, "score"), rtol=1e-3, atol=1)


def test_baselines_are_scored_as_the_candidate_is(project, tmp_path):
    """The mean is the floor; a line through the numbers is far better; the report has both beside the candidate."""
    names = ("mean", "median", "ridge", "nearest_neighbours", "random_forest", "boosted_trees")
    models, config = find_models("tabular_regression", names, {"forest_trees": 20})
    x, y = draw_training_sample(project / "splits" / "train", task, max_records=1000, seed=0)
    scores = score_split([fit_baseline(name, models, config, x, y, seed=0) for name in names], project / "splits" / "test", task)
    write_baseline_scores(tmp_path / "baselines.parquet", scores)
    model = json.loads((project / "candidate" / "model.json").read_text())

    judged = regression.judge(project / "predictions.parquet", tmp_path / "baselines.parquet", model, regression.Options())

    means = {row["model"]: -row["mae"] for row in judged.tables["errors"]}
    assert max(means["mean"], means["median"]) < min(means[name] for name in names[2:])
    assert judged.metrics["mae"] == pytest.approx(-of_test(project, "score").mean())
    assert judged.metrics["r2"] > 0.9
    assert [row["model"] for row in judged.tables["errors"]] == ["candidate", *names]


def test_importance_finds_the_columns_that_tell(project):
    """In the unit of the target; nobody asks how many were right."""
    importance = json.loads((project / "candidate" / "model.json").read_text())["training"]["importance"]

    assert {row["column"] for row in importance[:2]} == {"area", "district"}
    assert importance[1]["loss_increase"] > 5 * abs(importance[2]["loss_increase"])
    assert "accuracy_lost" not in importance[0]


@pytest.mark.badinput
def test_any_row_has_a_finite_answer(project):
    """Empty, never seen, infinite, no cells at all."""
    rows = [{}, {"area": "1e400", "district": "nowhere"}, {"area": [1], "district": {"a": 1}}, {"area": float("nan")}]

    assert np.isfinite(load_predictor(project / "package")(rows)).all()


def test_kept_weights_are_those_of_the_least_validation_loss(tmp_path):
    """There is no accuracy to choose by."""
    write_splits(tmp_path)

    report = train(tmp_path, keep="best", epochs=6, optimizer={"name": "adamw", "peak_lr": 0.1, "weight_decay": 0.0})

    lines = (tmp_path / "plots" / "history.csv").read_text().splitlines()
    at = lines[0].split(",").index("validation_loss")
    losses = [float(line.split(",")[at]) for line in lines[1:]]
    assert report.best_epoch == 1 + losses.index(min(losses))


@pytest.mark.badinput
def test_a_constant_target_is_refused():
    """There is nothing to learn, and nothing to divide by."""
    with pytest.raises(DataError, match="all 3 training records have the target 7"):
        measure_targets(torch.tensor([7.0, 7.0, 7.0], dtype=torch.float64))


@pytest.mark.badinput
@pytest.mark.parametrize("wild", [float("nan"), float("inf")])
def test_a_target_that_is_no_number_is_refused(wild):
    """Whoever wrote the splits: a mean of it would make every prediction NaN."""
    with pytest.raises(DataError, match="missing or not finite"):
        measure_targets(torch.tensor([1.0, wild], dtype=torch.float64))


def test_targets_far_from_zero_keep_their_digits():
    """Seconds since 1970 differ in the tenth digit, which float32 has not; their deviations from the mean have it."""
    targets = torch.tensor([1.7e9, 1.7e9 + 1, 1.7e9 + 2], dtype=torch.float64)

    scaled = scale_targets(targets, measure_targets(targets).model_dump())

    np.testing.assert_allclose(scaled.numpy(), [-1.2247449, 0, 1.2247449], rtol=1e-6)


def test_huber_is_linear_where_mse_is_square():
    """One wild target of ten deviations pulls as one that is far."""
    scores, targets = torch.zeros(2, 1), torch.tensor([0.5, 10.0])

    assert find_loss("mse")(scores, targets, label_smoothing=0.0).item() == pytest.approx((0.25 + 100) / 2)
    assert find_loss("huber")(scores, targets, label_smoothing=0.0).item() == pytest.approx((0.125 + 9.5) / 2)


@pytest.mark.badinput
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_label_smoothing_is_refused(loss):
    """It spreads over classes."""
    with pytest.raises(ParamsError, match="label_smoothing"):
        find_loss(loss)(torch.zeros(1, 1), torch.zeros(1), label_smoothing=0.1)
