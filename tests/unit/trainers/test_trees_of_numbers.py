"""Boosted trees that predict a number, as the candidate: the fitted trees, our program, the package and MLflow give the same answers."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit import candidates
from tests.unit.tables import houses, write_houses

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import DataError, EngineError, ParamsError
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.tasks import tabular_regression as task
from headrace.trainers import gradient_boosted_trees as trainer
from headrace.training.estimator import Lesson
from headrace.training.onnx_candidate import read_onnx_candidate
from headrace.training.onnx_file import open_function
from headrace.training.outcomes import TOLERANCE, Numbers
from headrace.training.predictor import load_predictor

SECTION = {
    "trainer": "gradient_boosted_trees",
    "trainer_options": {"rounds": 60, "learning_rate": 0.1, "leaves": 8},
    "encoding": {"min_count": 5},
}


def train(project: Path, out: Path | None = None, **changes):
    return candidates.train({**SECTION, **changes}, project, out)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of rows, a fitted candidate with its predictions, and its package."""
    root = tmp_path_factory.mktemp("project")
    candidates.write_splits(root, write_houses, houses)
    (root / "train.json").write_text(train(root).to_json())
    candidates.package(root, tolerance=0.1)
    return root


def raw_rows() -> list[dict[str, str]]:
    """The thousand rows of the test split as the CSV file had them, blanks and all, without the price."""
    return [{name: value for name, value in row.items() if name != "price"} for row in houses(candidates.ROWS["test"], seed=2)]


def of_test(project: Path, name: str) -> np.ndarray:
    """A column of what training wrote of the test split."""
    return pq.read_table(project / "predictions.parquet", filters=[("split", "==", "test")])[name].to_numpy()


def test_it_learns_prices_in_their_own_unit(project):
    """Hundreds of thousands, told by area and district; a score is the distance, with a minus."""
    report = json.loads((project / "train.json").read_text())
    targets = of_test(project, "target")

    np.testing.assert_array_equal(targets, [float(row["price"]) for row in houses(1000, seed=2)])
    np.testing.assert_allclose(of_test(project, "score"), -np.abs(of_test(project, "predicted") - targets))
    assert 1 - np.var(of_test(project, "predicted") - targets) / np.var(targets) > 0.9
    assert report["validation_accuracy"] is None
    assert report["validation_loss"] < 0.1  # of the variance of prices
    assert report["headline"].startswith("validation loss 0.0")


def test_the_fitted_trees_answer_a_thousand_raw_rows_as_training_did(project):
    """Fitted here once more with scikit-learn alone, on float64 prices."""
    encoding = read_onnx_candidate(project / "candidate").info.description["encoding"]
    table, record = read_table(project / "splits" / "train"), read_info(project / "splits" / "train").record
    x, y = task.encode(task.inputs(table, record), encoding), task.targets(table, record)
    found = trainer.fit_regressor(Lesson(x, y, None, 0, 17, False), trainer.Options(**SECTION["trainer_options"]))

    answers = found.answer(task.encode(np.array(raw_rows(), dtype=object), encoding))[:, 0]

    assert len(answers) == candidates.ROWS["test"]
    np.testing.assert_allclose(of_test(project, "predicted"), answers, rtol=1e-5)


def test_our_predictor_answers_a_thousand_raw_rows_as_training_did(project):
    """Blank cells and categories become the same numbers from text as from typed columns."""
    np.testing.assert_array_equal(load_predictor(project / "package")(raw_rows())[:, 0], of_test(project, "predicted"))


def test_mlflow_answers_raw_rows_as_training_did_without_torch_scikit_learn_and_headrace(project):
    """A server of trees needs numpy, onnx and onnxruntime."""
    answers = candidates.answers_elsewhere(project, raw_rows(), without=("headrace", "pyarrow", "torch", "sklearn", "pandas"))

    np.testing.assert_allclose(answers[:, 0], of_test(project, "predicted"), rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_rows_as_its_signature_says(project, tmp_path):
    """A frame of cells as they came; what comes out is called a prediction, not probabilities."""
    import mlflow.pyfunc
    import pandas as pd

    lay_out(read_package(project / "package"), [], tmp_path / "model", model_id="m-1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))

    np.testing.assert_allclose(model.predict(pd.DataFrame(raw_rows()))[:, 0], of_test(project, "predicted"), rtol=1e-6)
    signature = json.loads((project / "package" / "signature.json").read_text())
    assert [each["name"] for each in signature["outputs"]] == ["predicted"]


def test_a_comparison_in_the_registry_scores_distances(project, tmp_path):
    """`promote` runs champion and challenger on the same split, a network against trees for instance."""
    scored = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_allclose(scored.values, of_test(project, "score"))


def test_importance_finds_the_columns_that_tell(project):
    """In the unit of the target."""
    importance = json.loads((project / "candidate" / "model.json").read_text())["training"]["importance"]

    assert {row["column"] for row in importance[:2]} == {"area", "district"}
    assert importance[1]["loss_increase"] > 5 * abs(importance[2]["loss_increase"])


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate."""
    train(project, tmp_path)

    for name in ("candidate/model.onnx", "candidate/model.json", "candidate/answers.json", "predictions.parquet"):
        assert (tmp_path / name).read_bytes() == (project / name).read_bytes()


@pytest.mark.parametrize(("far", "wide"), [(0.0, 1.0), (1.7e9, 1.0), (-3.0, 1e-6), (0.0, 1e9)])
def test_targets_of_any_size_lose_no_more_than_float32_must(far, wide):
    """Corrections are added up before what they correct: seconds since 1970 differ in the tenth digit."""
    random = np.random.default_rng(3)
    x = random.normal(size=(500, 4)).astype(np.float32)
    y = far + wide * (x[:, 0] + random.standard_t(2, 500))
    found = trainer.fit_regressor(Lesson(x, y, None, 0, 3, False), trainer.Options(min_records=2))

    answers = found.answer(x)
    differences = np.abs(open_function(found.program, name="trees")(x) - answers)

    assert (differences / Numbers.of(y).room(answers)).max() <= TOLERANCE
    assert np.corrcoef(answers[:, 0], y)[0, 1] > 0.8


@pytest.mark.badinput
def test_any_row_has_a_finite_answer(project):
    """Empty, never seen, infinite, no cells at all."""
    rows = [{}, {"area": "1e400", "district": "nowhere"}, {"area": [1], "district": {"a": 1}}, {"area": float("nan")}]

    found = load_predictor(project / "package")(rows)

    assert found.shape == (4, 1)
    assert np.isfinite(found).all()


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("rows", "message"),
    [([{**row, "price": "7"} for row in houses(20)], "all 20 training records .* have the target 7"), ([], "no records")],
)
def test_one_price_and_no_records_are_refused(tmp_path, rows, message):
    """There is nothing to learn."""
    candidates.write_splits(tmp_path, write_houses, houses, train=rows)

    with pytest.raises(DataError, match=message):
        train(tmp_path)


@pytest.mark.badinput
def test_a_temperature_is_refused(project, tmp_path):
    """It is about probabilities."""
    with pytest.raises(ParamsError, match=r"train\.calibrate is about probabilities"):
        train(project, tmp_path, calibrate=True)


@pytest.mark.badinput
def test_a_trainer_of_classes_refuses_numbers(project, tmp_path):
    """A linear model of texts, or one's own trainer that has only `fit`."""
    with pytest.raises(ParamsError, match="'tfidf_linear_svm' tells classes apart, and these records have none"):
        train(project, tmp_path, trainer="tfidf_linear_svm", trainer_options={}, encoding={})


def test_a_program_of_other_trees_than_were_fitted_is_refused(project, tmp_path, monkeypatch):
    """One correction of sixty is missing: far less than prices differ by, far more than float32 does."""
    write = trainer.regressor_program
    monkeypatch.setattr(trainer, "regressor_program", lambda trees, start, width: write(trees[:-1], start, width=width))

    with pytest.raises(EngineError, match="in a prediction, more than float32 explains"):
        train(project, tmp_path)
