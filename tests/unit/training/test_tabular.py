"""From raw rows to probabilities: the same in training, from the package, and where only MLflow, torch and numpy are."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit import candidates
from tests.unit.tables import customers, write_table

from headrace.errors import ParamsError
from headrace.evaluation import classification
from headrace.evaluation.predictions import write_baselines
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.training.predictor import load_predictor

SETTINGS = {**candidates.ROW_NETWORK, "epochs": 12}


def train(project: Path, **changes):
    return candidates.train({**SETTINGS, **changes}, project)


def write_splits(project: Path) -> None:
    candidates.write_splits(project, write_table, customers)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of rows, a trained candidate with its predictions, and its package."""
    root = tmp_path_factory.mktemp("project")
    write_splits(root)
    (root / "train.json").write_text(train(root).to_json())
    candidates.package(root)
    return root


@pytest.fixture(scope="module")
def registered(project, tmp_path_factory):
    """The package as a registered model."""
    folder = tmp_path_factory.mktemp("registered") / "model"
    lay_out(read_package(project / "package"), [], folder, model_id="m-1")
    return folder


def raw_rows() -> list[dict[str, str]]:
    """The rows of the test split as the CSV file had them, blanks and all, without the label."""
    return [{name: value for name, value in row.items() if name != "left"} for row in customers(1000, seed=2)]


def expected(project: Path) -> np.ndarray:
    """What training predicted for the test split."""
    table = pq.read_table(project / "predictions.parquet")
    inside = [split == "test" for split in table["split"].to_pylist()]
    return np.array(table["probabilities"].to_pylist(), dtype=np.float32)[inside]


def test_it_learns_what_two_columns_tell(project):
    """Fee and plan together decide, neither does alone; a tenth of the fees is blank."""
    assert json.loads((project / "train.json").read_text())["validation_accuracy"] > 0.8


def test_our_predictor_answers_raw_rows_as_training_did(project):
    """Blank cells, categories and dates become the same numbers from text as from typed columns."""
    np.testing.assert_allclose(load_predictor(project / "package")(raw_rows()), expected(project), atol=1e-6)


def test_our_predictor_takes_a_frame(project):
    """Numbers and NaN in place of text and blanks."""
    import pandas as pd

    frame = pd.DataFrame(raw_rows())
    frame["fee"] = pd.to_numeric(frame["fee"], errors="coerce")

    np.testing.assert_allclose(load_predictor(project / "package")(frame), expected(project), atol=1e-6)


def test_mlflow_answers_raw_rows_as_training_did_without_headrace(project):
    """A server has MLflow, torch, pandas and numpy; rows become numbers by the task's own module."""
    answers = candidates.answers_elsewhere(project, raw_rows())

    np.testing.assert_allclose(answers, expected(project), atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_rows_as_its_signature_says(project, registered):
    """A frame of cells as they came, a frame of numbers, or mappings."""
    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(registered))
    frame = pd.DataFrame(raw_rows())

    np.testing.assert_allclose(model.predict(frame), expected(project), atol=1e-6)
    np.testing.assert_allclose(
        model.predict(frame.assign(fee=pd.to_numeric(frame["fee"], errors="coerce"))), expected(project), atol=1e-6
    )


def test_a_comparison_in_the_registry_scores_rows(project, tmp_path):
    """`promote` runs champion and challenger on the same split."""
    decided = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_array_equal(decided.predicted, expected(project).argmax(axis=1))


def test_the_package_names_its_columns_and_shows_rows_with_their_answers(project):
    """Whoever serves it can check it without knowing of encodings."""
    example = json.loads((project / "package" / "input_example.json").read_text())
    signature = json.loads((project / "package" / "signature.json").read_text())
    card = (project / "package" / "README.md").read_text()

    np.testing.assert_allclose(load_predictor(project / "package")(example["inputs"]), example["outputs"], atol=1e-6)
    assert [column["name"] for column in signature["inputs"]] == ["fee", "plan", "size", "since", "source"]
    assert "load_predictor" in card
    assert "`since`" in card


@pytest.mark.badinput
def test_any_row_has_an_answer_from_the_package(project):
    """Empty, with categories never seen, infinite numbers, dates of another age, and things that are no cells."""
    rows = [
        {},
        {"fee": "1e400", "plan": "never seen", "size": "giant", "since": "9999-12-31", "source": None},
        {"fee": float("nan"), "plan": 3, "size": True, "since": "yesterday", "source": "=cmd()"},
        {"fee": 10**400, "plan": "\0", "since": "0001-01-01"},
        {"fee": [1], "plan": {"a": 1}, "since": 5},
    ]

    answer = load_predictor(project / "package")(rows)

    assert answer.shape == (5, 2)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_importance_finds_the_columns_that_tell(project):
    """And says of the others that they could be shuffled."""
    importance = json.loads((project / "candidate" / "model.json").read_text())["training"]["importance"]

    assert {row["column"] for row in importance[:2]} == {"fee", "plan"}
    assert len(importance) == 5
    assert importance[1]["loss_increase"] > 5 * max(abs(row["loss_increase"]) for row in importance[2:])


def test_evaluation_shows_importance_and_every_group(project, tmp_path):
    """The sensitive column was never seen by the model, and is what the score is reported over."""
    model = json.loads((project / "candidate" / "model.json").read_text())
    write_baselines(tmp_path / "baselines.parquet", {})

    judged = classification.judge(
        project / "predictions.parquet", tmp_path / "baselines.parquet", model, classification.Options()
    )
    drawn = classification.draw(judged, (0.8, 0.9), [], tmp_path)

    assert [(row["column"], row["smallest"]) for row in judged.details["slices"]] == [("region", "north"), ("region", "south")]
    assert sum(row["records"] for row in judged.details["slices"]) == 1000
    assert drawn["importance"].startswith("The model relies on '")
    assert (tmp_path / "importance.png").stat().st_size > 1000


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate."""
    write_splits(tmp_path)
    train(tmp_path)

    for name in ("candidate/model.safetensors", "candidate/model.json", "predictions.parquet"):
        assert (tmp_path / name).read_bytes() == (project / name).read_bytes(), name


@pytest.mark.badinput
def test_a_setting_of_the_encoding_that_does_not_exist_is_refused(tmp_path):
    """With the nearest one that does."""
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match="Did you mean 'min_count'"):
        train(tmp_path, encoding={"min_counts": 6})
