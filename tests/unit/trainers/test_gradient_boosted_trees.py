"""Boosted trees of rows as the candidate: the fitted trees, our program, the package and MLflow give the same answers."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.measured import write_records
from tests.unit import candidates
from tests.unit.tables import customers, write_table

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import DataError, ParamsError
from headrace.evaluation import classification
from headrace.evaluation.predictions import write_baselines
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.tasks import tabular
from headrace.trainers import gradient_boosted_trees as trainer
from headrace.training.estimator import Lesson
from headrace.training.onnx_candidate import read_onnx_candidate
from headrace.training.onnx_file import open_function
from headrace.training.predictor import load_predictor

SECTION = {
    "trainer": "gradient_boosted_trees",
    "trainer_options": {"rounds": 60, "learning_rate": 0.1, "leaves": 8},
    "encoding": {"min_count": 5},
    "calibrate": True,
}
COUNTS = candidates.ROWS


def train(project: Path, out: Path | None = None, **changes):
    return candidates.train({**SECTION, **changes}, project, out)


def write_splits(project: Path, **rows: list[dict[str, str]]) -> None:
    candidates.write_splits(project, write_table, customers, **rows)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of rows, a fitted candidate with its predictions, and its package."""
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
    """The thousand rows of the test split as the CSV file had them, blanks and all, without the label."""
    return [{name: value for name, value in row.items() if name != "left"} for row in customers(COUNTS["test"], seed=2)]


def expected(project: Path) -> np.ndarray:
    """What training predicted for the test split."""
    table = pq.read_table(project / "predictions.parquet", filters=[("split", "==", "test")])
    return np.array(table["probabilities"].to_pylist(), np.float32)


def test_it_learns_what_two_columns_tell(project):
    """Fee and plan together decide, neither does alone; a tenth of the fees is blank."""
    report = json.loads((project / "train.json").read_text())

    assert report["validation_accuracy"] > 0.85
    assert report["largest_difference"] < 1e-5
    assert report["not_read"] == []


def test_the_fitted_trees_answer_a_thousand_raw_rows_as_training_did(project):
    """Fitted here once more with scikit-learn alone: no probability differs, and no decision."""
    description = read_onnx_candidate(project / "candidate").info.description
    splits = {name: read_table(project / "splits" / name) for name in ("train", "validation")}
    record = read_info(project / "splits" / "train").record
    x = {name: tabular.encode(tabular.inputs(table, record), description["encoding"]) for name, table in splits.items()}
    y = {name: table["label"].to_numpy() for name, table in splits.items()}
    options = trainer.Options(**SECTION["trainer_options"])
    answers = trainer.fit_classifier(
        Lesson(x["train"], y["train"], (x["validation"], y["validation"]), 2, 17, True), options
    ).answer(tabular.encode(np.array(raw_rows(), dtype=object), description["encoding"]))

    assert len(answers) == COUNTS["test"]
    np.testing.assert_allclose(expected(project), answers, atol=1e-6)
    np.testing.assert_array_equal(expected(project).argmax(axis=1), answers.argmax(axis=1))


def test_our_predictor_answers_a_thousand_raw_rows_as_training_did(project):
    """Blank cells, categories and dates become the same numbers from text as from typed columns."""
    found = load_predictor(project / "package")(raw_rows())

    np.testing.assert_array_equal(found, expected(project))


def test_mlflow_answers_raw_rows_as_training_did_without_torch_scikit_learn_and_headrace(project):
    """A server of trees needs numpy, onnx and onnxruntime, as its requirements say."""
    answers = candidates.answers_elsewhere(project, raw_rows(), without=("headrace", "pyarrow", "torch", "sklearn", "pandas"))

    np.testing.assert_allclose(answers, expected(project), atol=1e-7)
    names = [line.partition("==")[0] for line in (project / "package" / "requirements.txt").read_text().split()]
    assert names == ["numpy", "onnx", "onnxruntime"]


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_rows_as_its_signature_says(project, registered):
    import mlflow.pyfunc
    import pandas as pd

    found = mlflow.pyfunc.load_model(str(registered)).predict(pd.DataFrame(raw_rows()))

    np.testing.assert_allclose(found, expected(project), atol=1e-7)
    np.testing.assert_array_equal(found.argmax(axis=1), expected(project).argmax(axis=1))


def test_a_comparison_in_the_registry_scores_rows(project, tmp_path):
    """`promote` runs champion and challenger on the same split, a network against trees for instance."""
    decided = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_array_equal(decided.predicted, expected(project).argmax(axis=1))


def test_importance_finds_the_columns_that_tell(project, tmp_path):
    """As for networks: in model.json and the report, beside every group."""
    model = json.loads((project / "candidate" / "model.json").read_text())
    importance = model["training"]["importance"]
    write_baselines(tmp_path / "baselines.parquet", {})

    judged = classification.judge(
        project / "predictions.parquet", tmp_path / "baselines.parquet", model, classification.Options()
    )
    drawn = classification.draw(judged, (0.8, 0.9), [], tmp_path)

    assert {row["column"] for row in importance[:2]} == {"fee", "plan"}
    assert importance[1]["loss_increase"] > 5 * max(abs(row["loss_increase"]) for row in importance[2:])
    assert [(row["column"], row["smallest"]) for row in judged.details["slices"]] == [("region", "north"), ("region", "south")]
    assert drawn["importance"].startswith("The model relies on '")


def test_a_temperature_makes_it_as_sure_as_it_is_right(project, tmp_path):
    """Divides the sums of the trees; decisions stay."""
    report = json.loads((project / "train.json").read_text())
    plain = train(project, tmp_path, calibrate=False)

    assert report["temperature"] is not None
    assert plain.temperature is None
    np.testing.assert_array_equal(expected(tmp_path).argmax(axis=1), expected(project).argmax(axis=1))
    assert report["validation_loss"] <= plain.validation_loss


def test_the_seed_draws_the_columns_of_each_split(project, tmp_path):
    """And decides nothing where every split sees every column."""
    options = {**SECTION["trainer_options"], "columns": 1.0}
    found = {}
    for seed, columns in ((1, 0.5), (2, 0.5), (1, 1.0), (2, 1.0)):
        train(project, tmp_path, seed=seed, trainer_options={**options, "columns": columns})
        found[seed, columns] = expected(tmp_path)

    assert not np.array_equal(found[1, 0.5], found[2, 0.5])
    np.testing.assert_array_equal(found[1, 1.0], found[2, 1.0])


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate."""
    train(project, tmp_path)

    assert written(tmp_path) == written(project)


def written(project: Path) -> dict[str, bytes]:
    """What the trainer has written."""
    files = [project / "predictions.parquet", project / "plots" / "history.csv", *(project / "candidate").iterdir()]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.fault
def test_a_kill_in_mid_fit_leaves_no_trace_in_the_next_result(project, tmp_path):
    """A fit takes seconds and begins anew; nothing of the killed one is read."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier as Trees\n"
        "from tests.unit.trainers.test_gradient_boosted_trees import train\n"
        "fit = Trees.fit\n"
        "Trees.fit = lambda model, *data: fit(model.set_params(verbose=2), *data)\n"
        "train(Path(sys.argv[1]), Path(sys.argv[2]), trainer_options={'rounds': 10_000})\n"
    )
    command = [sys.executable, "-u", "-c", script, str(project), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert any(line.startswith("[5/10000]") for line in killed.stdout)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "candidate").exists()

    train(project, tmp_path)

    assert written(tmp_path) == written(project)


def rows_of_classes(count: int, *classes: str, seed: int = 0) -> list[dict[str, str]]:
    """Customers whose class is told by the fee."""
    found = customers(count, seed=seed)
    return [
        {**row, "left": classes[min(int(float(row["fee"].strip() or 0)) * len(classes) // 100, len(classes) - 1)]}
        for row in found
    ]


def test_more_than_two_classes_have_a_sum_each_and_an_absent_one_is_never_predicted(tmp_path):
    """The data set may name more classes than the training split shows."""
    for name, count in (*COUNTS.items(), ("augmented", 0)):
        folder = tmp_path / (name if name == "augmented" else f"splits/{name}")
        write_table(folder, rows_of_classes(count, "a", "b", "d", seed=count) if count else [], classes=("a", "b", "c", "d"))

    report = train(tmp_path)

    assert report.validation_accuracy > 0.8
    assert expected(tmp_path).shape == (1000, 4)
    assert expected(tmp_path)[:, 2].max() == 0


@pytest.mark.parametrize("seed", range(5))
def test_every_float32_takes_the_branch_that_the_float64_threshold_says(seed):
    """Numbers beside a threshold, infinite ones and missing ones: fitted in float64, compared in float32."""
    random = np.random.default_rng(seed)
    close = np.nextafter(np.float32(0.1) * np.arange(1, 9, dtype=np.float32), np.float32(np.inf))
    x = np.concatenate([random.choice(close, (300, 3)), random.normal(size=(300, 3)) * [1e-30, 1, 1e30]]).astype(np.float32)
    x[::7, 1], x[::5, 2], x[3, 0], x[4, 0] = np.nan, np.nan, np.inf, -np.inf
    x = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))])
    y = (random.random(len(x)) < 0.5).astype(np.int64)
    y[::5] = 1
    found = trainer.fit_classifier(Lesson(x, y, None, 2, seed, False), trainer.Options(rounds=30, leaves=64, min_records=1))

    program = open_function(found.program, name="trees")

    np.testing.assert_allclose(program(x), found.answer(x), atol=1e-5)
    assert np.isnan(x).any()


def test_the_largest_float32_that_is_not_above():
    thresholds = np.array([0.1, 1.0, -0.1, 1e300, -1e300, np.inf, 1e-300, -1e-300])

    found = trainer.at_most(thresholds)

    assert found.dtype == np.float32
    assert (found <= thresholds).all()
    with np.errstate(over="ignore"):
        assert (np.nextafter(found, np.float32(np.inf)) > thresholds)[np.isfinite(thresholds)].all()


@pytest.mark.badinput
def test_records_without_columns_are_refused(tmp_path):
    """The trainer reads tables."""
    for name in ("splits/train", "splits/validation", "splits/test", "augmented"):
        write_records(tmp_path / name)

    with pytest.raises(ParamsError, match="columns of a table"):
        train(tmp_path)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("rows", "message"), [([{**row, "left": "No"} for row in customers(20)], "all belong to class 'No'"), ([], "no records")]
)
def test_one_class_and_no_records_are_refused(tmp_path, rows, message):
    write_splits(tmp_path, train=rows)

    with pytest.raises(DataError, match=message):
        train(tmp_path)


@pytest.mark.badinput
def test_a_category_that_training_has_not_seen_and_cells_of_any_kind_have_an_answer(project):
    rows = [
        {},
        {"fee": "1e400", "plan": "never seen", "size": "giant", "since": "9999-12-31", "source": None},
        {"fee": float("nan"), "plan": 3, "size": True, "since": "yesterday", "source": "=cmd()"},
        {"fee": [1], "plan": {"a": 1}, "since": 5},
    ]

    answer = load_predictor(project / "package")(rows)

    assert answer.shape == (4, 2)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


@pytest.mark.badinput
def test_options_that_do_not_exist_are_refused_with_the_nearest_ones(tmp_path):
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match=r"unknown key 'train\.trainer_options\.leafs'.*leaves"):
        train(tmp_path, trainer_options={"leafs": 2})
    with pytest.raises(ParamsError, match="Did you mean 'min_count'"):
        train(tmp_path, encoding={"min_counts": 6})


def test_keys_of_a_network_are_named_as_not_read(project, tmp_path):
    """Switching by one key leaves them in place."""
    assert train(project, tmp_path, epochs=3, network="embedding_mlp").not_read == ["epochs", "network"]
