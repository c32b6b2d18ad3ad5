"""A scikit-learn model of texts as the candidate: the same answers in training, from the package, and where only MLflow is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.measured import write_records
from tests.unit import candidates
from tests.unit.texts import CLASSES, sentences, write_texts

from headrace.baselines import text_classification as baselines
from headrace.dataset.shards import read_table
from headrace.errors import DataError, EngineError, ParamsError
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.training.onnx_candidate import read_onnx_candidate
from headrace.training.predictor import load_predictor

TRAINERS = ("tfidf_linear_svm", "tfidf_logistic_regression", "nb_svm")
COUNTS = {"train": 64, "validation": 32, "test": 1000}


def write_splits(project: Path, classes: tuple[str, ...] = CLASSES, **rows: list[tuple[str, str]]) -> None:
    for number, (name, count) in enumerate(COUNTS.items()):
        write_texts(project / "splits" / name, rows.get(name, sentences(count, seed=number)), names=classes)
    write_texts(project / "augmented", [], names=classes)


def train(project: Path, out: Path, trainer: str = "tfidf_linear_svm", **changes):
    return candidates.train({"trainer": trainer, "trainer_options": {"min_documents": 1}, **changes}, project, out)


@pytest.fixture(scope="module", params=TRAINERS)
def project(request, tmp_path_factory):
    """Splits of texts, a fitted candidate with its predictions, and its package."""
    root = tmp_path_factory.mktemp(request.param)
    write_splits(root)
    (root / "train.json").write_text(train(root, root, request.param).to_json())
    (root / "package.json").write_text(candidates.package(root).to_json())
    return root


def expected(project: Path) -> tuple[list[str], np.ndarray]:
    """Texts of the test split and what training predicted for them."""
    table = pq.read_table(project / "predictions.parquet", filters=[("split", "==", "test")])
    return read_table(project / "splits" / "test")["text"].to_pylist(), np.array(table["probabilities"].to_pylist(), np.float32)


def test_it_learns_what_a_word_tells(project):
    report = json.loads((project / "train.json").read_text())

    assert report["validation_accuracy"] > 0.9
    assert report["largest_difference"] < 1e-5
    assert report["not_read"] == []


def test_our_predictor_answers_a_thousand_raw_texts_as_training_did(project):
    """Vocabulary and weights travel together."""
    texts, probabilities = expected(project)

    assert len(texts) == COUNTS["test"]
    np.testing.assert_allclose(load_predictor(project / "package")(texts), probabilities, atol=1e-6)


def test_mlflow_answers_raw_texts_as_training_did_without_torch_and_headrace(project):
    """A server of a linear model needs no torch: numpy, onnx and onnxruntime, as its requirements say."""
    texts, probabilities = expected(project)
    answers = candidates.answers_elsewhere(project, texts, without=("headrace", "pyarrow", "torch", "sklearn"))

    np.testing.assert_allclose(answers, probabilities, atol=1e-6)
    names = [line.partition("==")[0] for line in (project / "package" / "requirements.txt").read_text().split()]
    assert names == ["numpy", "onnx", "onnxruntime"]


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_texts_as_its_signature_says(project, tmp_path):
    import mlflow.pyfunc
    import pandas as pd

    texts, probabilities = expected(project)
    lay_out(read_package(project / "package"), [], tmp_path / "registered", model_id="m-1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "registered"))

    np.testing.assert_allclose(model.predict(pd.DataFrame({"text": texts})), probabilities, atol=1e-6)


def test_a_comparison_in_the_registry_scores_raw_texts(project, tmp_path):
    """`promote` runs champion and challenger on the same split, a network against a linear model for instance."""
    _, probabilities = expected(project)

    decided = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_array_equal(decided.predicted, probabilities.argmax(axis=1))


def test_the_candidate_is_the_baseline_of_the_same_name(project):
    """Who takes the winner gets the model that won, not one like it."""
    trained = read_table(project / "splits" / "train")
    name = read_onnx_candidate(project / "candidate").info.network.name
    model = baselines.make(name, baselines.Config(min_documents=1), seed=17)
    model.fit(trained["text"].to_pylist(), trained["label"].to_numpy())
    texts, probabilities = expected(project)

    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(texts))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(probabilities, model.predict_proba(texts), atol=1e-5)


def test_weights_drawn_towards_naive_bayes_are_those_of_the_baseline(tmp_path):
    """The sizes in ONNX, not only their signs: Wang and Manning's interpolation is part of the model."""
    write_splits(tmp_path)
    alone = expected_of(tmp_path, {"min_documents": 1})
    drawn = expected_of(tmp_path, {"min_documents": 1, "interpolation": 0.1})
    trained, tested = (read_table(tmp_path / "splits" / name) for name in ("train", "test"))
    model = baselines.make("nb_svm", baselines.Config(min_documents=1, nb_svm_interpolation=0.1), seed=17)
    model.fit(trained["text"].to_pylist(), trained["label"].to_numpy())

    np.testing.assert_array_equal(drawn.argmax(axis=1), model.predict(tested["text"].to_pylist()))
    assert np.abs(drawn - alone).max() > 0.01


def expected_of(project: Path, options: dict[str, float]) -> np.ndarray:
    train(project, project, "nb_svm", trainer_options=options)
    return expected(project)[1]


def test_the_card_says_what_kind_of_model_it_is(project):
    """No torch, and the line that opens it."""
    card = (project / "package" / "README.md").read_text()

    assert "`model.onnx` takes" in card
    assert "fitted numbers" in card
    assert "load_predictor" in card
    assert "torch" not in card


def test_any_text_has_an_answer_from_the_package(project):
    """Empty, unknown, or of a million characters: probabilities of each class."""
    answer = load_predictor(project / "package")(["", "\0", "nobody knows these", "goal " * 200_000])

    assert answer.shape == (4, 2)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate; after a kill the stage begins anew and must arrive at the same."""
    name = read_onnx_candidate(project / "candidate").info.network.name
    train(project, tmp_path, name)

    files = [
        "predictions.parquet",
        "plots/history.csv",
        *(f"candidate/{found.name}" for found in (project / "candidate").iterdir()),
    ]
    assert {f: (tmp_path / f).read_bytes() for f in files} == {f: (project / f).read_bytes() for f in files}


def test_a_program_that_is_not_the_fitted_model_is_refused(project, tmp_path):
    """The check must be able to fail."""
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("package"))
    answers = tmp_path / "copy" / "candidate" / "answers.json"
    known = json.loads(answers.read_text())
    answers.write_text(json.dumps({key: value[::-1] for key, value in known.items()}))

    with pytest.raises(EngineError, match=r"differ by .* more than package\.tolerance"):
        candidates.package(tmp_path / "copy")
    assert not (tmp_path / "copy" / "package").exists()


@pytest.mark.badinput
def test_records_without_an_answer_are_named(project, tmp_path):
    """Another validation split than the one it was fitted with."""
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("package"))
    (tmp_path / "copy" / "candidate" / "answers.json").write_text('{"other": [0.5, 0.5]}')

    with pytest.raises(EngineError, match="does not have record"):
        candidates.package(tmp_path / "copy")


@pytest.mark.badinput
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_class_without_a_training_record_is_never_predicted(tmp_path, trainer):
    """The data set may name more classes than the training split shows; a label that was never seen costs its records, not the run."""
    write_splits(tmp_path, (*CLASSES, "unseen"), test=[*sentences(20, seed=2), ("goal bank", "unseen")])
    report = train(tmp_path, tmp_path, trainer)
    _, probabilities = expected(tmp_path)

    assert report.validation_accuracy > 0.9
    assert probabilities.shape[1] == 3
    assert probabilities[:, 2].max() == 0


@pytest.mark.badinput
def test_one_class_is_refused(tmp_path):
    write_splits(tmp_path, train=[(text, "sport") for text, _ in sentences(8, seed=0)])

    with pytest.raises(DataError, match="all belong to class"):
        train(tmp_path, tmp_path)


@pytest.mark.badinput
def test_no_records_are_refused(tmp_path):
    write_splits(tmp_path, train=[])

    with pytest.raises(ParamsError, match="no term occurs"):
        train(tmp_path, tmp_path)


@pytest.mark.badinput
def test_a_label_outside_of_the_classes_is_refused(tmp_path):
    write_splits(tmp_path, train=[*sentences(8, seed=0), ("goal", "nobody")])

    with pytest.raises(DataError, match="label -1, outside the 2 classes"):
        train(tmp_path, tmp_path)


@pytest.mark.badinput
def test_margins_without_held_out_records_are_refused(tmp_path):
    """An SVM has no probabilities of its own: how sure it is gets measured on records that it was not fitted on."""
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match=r"train\.refit"):
        train(tmp_path, tmp_path, refit=True)
    assert train(tmp_path, tmp_path, "tfidf_logistic_regression", refit=True).samples == COUNTS["train"] + COUNTS["validation"]


@pytest.mark.badinput
def test_pictures_are_refused(tmp_path):
    """The trainer counts words."""
    for name in ("splits/train", "splits/validation", "splits/test", "augmented"):
        write_records(tmp_path / name)

    with pytest.raises(ParamsError, match="no texts"):
        train(tmp_path, tmp_path)


@pytest.mark.badinput
def test_an_unknown_option_is_refused_with_the_nearest_one(tmp_path):
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match=r"unknown key 'train\.trainer_options\.min_document'.*min_documents"):
        train(tmp_path, tmp_path, trainer_options={"min_document": 2})


def test_keys_that_say_nothing_to_it_are_named(tmp_path):
    """Switching by one key leaves those of the network in place."""
    write_splits(tmp_path)

    assert train(tmp_path, tmp_path, epochs=3, network="mlp").not_read == ["epochs", "network"]
