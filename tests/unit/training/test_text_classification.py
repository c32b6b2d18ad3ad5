"""From raw texts to probabilities: the same in training, from the package, and where only MLflow, torch and numpy are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.unit import candidates
from tests.unit.texts import CLASSES, sentences, write_texts

from headrace.dataset.schema import read_info
from headrace.errors import DataError, ParamsError
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.stages import package as package_stage
from headrace.storage.local import write_json
from headrace.training.candidate import load_candidate
from headrace.training.export import load_program
from headrace.training.predictor import load_predictor

SETTINGS = {
    "network": "transformer",
    "network_options": {"width": 16, "blocks": 1, "heads": 2, "dropout": 0.0},
    "encoding": {"max_tokens": 6, "min_count": 1},
    "augmentation": {"drop_tokens": 0.05},
    "epochs": 6,
    "batch_size": 8,
    "channels_last": False,
    "calibrate": True,
    "threads": 1,
}


def train(project: Path, *, initial: Path | None = None, **changes):
    return candidates.train({**SETTINGS, **changes}, project, initial=initial)


def write_splits(project: Path) -> None:
    for number, (name, count) in enumerate({"train": 64, "validation": 16, "test": 1000}.items()):
        write_texts(project / "splits" / name, sentences(count, seed=number))
    write_texts(project / "augmented", [])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of texts, a trained candidate with its predictions, and its package."""
    root = tmp_path_factory.mktemp("project")
    write_splits(root)
    report = train(root)
    (root / "train.json").write_text(report.to_json())
    candidates.package(root)
    return root


def expected(project: Path) -> tuple[list[str], np.ndarray]:
    """Texts of the test split and what training predicted for them."""
    table = pq.read_table(project / "predictions.parquet").filter(
        pq.ParquetFile(project / "predictions.parquet").read().column("split").to_numpy() == "test"
    )
    probabilities = np.array(table["probabilities"].to_pylist(), dtype=np.float32)
    texts = pq.read_table(project / "splits" / "test" / "part-00000.parquet")["text"].to_pylist()
    return texts, probabilities


def test_it_learns_what_a_word_tells(project):
    """A network that cannot tell goals from banks is no baseline for anything."""
    report = json.loads((project / "train.json").read_text())

    assert report["validation_accuracy"] > 0.9
    assert report["temperature"] is not None


def test_what_is_cut_off_is_reported(project):
    """Six tokens of longer sentences: a reader must know what the network does not see."""
    encoding = json.loads((project / "train.json").read_text())["encoding"]

    assert encoding["texts"] == 64
    assert encoding["truncated_texts"] == 1
    assert 0 < encoding["truncated_tokens"] < 1


def test_the_vocabulary_is_that_of_the_training_split(project):
    """A word that only the test split has must not have a number of its own."""
    encoding = json.loads((project / "candidate" / "model.json").read_text())["description"]["encoding"]
    words = {*json.loads(encoding["tokenizer"])["model"]["vocab"]}

    assert {"goal", "bank", "-", "63"} <= words  # numbers of the sentences: 64 for training, 1,000 in the test split
    assert not {"64", "999"} & words
    assert read_info(project / "splits" / "train").rows == 64


def test_predictions_carry_the_length(project):
    """`evaluate` looks whether accuracy depends on it."""
    assert pq.read_schema(project / "predictions.parquet").names == ["id", "split", "label", "probabilities", "words"]


def test_our_predictor_answers_raw_texts_as_training_did(project):
    """The vocabulary travels with the weights."""
    texts, probabilities = expected(project)

    np.testing.assert_allclose(load_predictor(project / "package")(texts), probabilities, atol=1e-6)


def test_mlflow_answers_raw_texts_as_training_did_without_headrace(project):
    """A server has MLflow, torch and numpy; tokens are made there by the task's own module."""
    texts, probabilities = expected(project)

    np.testing.assert_allclose(candidates.answers_elsewhere(project, texts), probabilities, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_mlflows_pyfunc_takes_texts_as_its_signature_says(project, tmp_path):
    """A list of strings, or a table with the column that the data set has."""
    import mlflow.pyfunc
    import pandas as pd

    texts, probabilities = expected(project)
    lay_out(read_package(project / "package"), [], tmp_path / "registered", model_id="m-1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "registered"))

    np.testing.assert_allclose(model.predict(pd.DataFrame({"text": texts})), probabilities, atol=1e-6)


def test_a_comparison_in_the_registry_scores_raw_texts(project, tmp_path):
    """`promote` runs champion and challenger on the same split."""
    _, probabilities = expected(project)

    decided = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")

    np.testing.assert_array_equal(decided.predicted, probabilities.argmax(axis=1))


def test_the_package_shows_raw_texts_with_their_answers(project):
    """Whoever serves it can check it without knowing of tokens."""
    example = json.loads((project / "package" / "input_example.json").read_text())
    signature = json.loads((project / "package" / "signature.json").read_text())

    assert all(isinstance(text, str) for text in example["inputs"])
    np.testing.assert_allclose(load_predictor(project / "package")(example["inputs"]), example["outputs"], atol=1e-6)
    assert signature["inputs"] == [{"name": "text", "dtype": "string", "shape": [-1]}]
    assert "load_predictor" in (project / "package" / "README.md").read_text()


def test_any_text_has_an_answer_from_the_package(project):
    """Empty, unknown, or of a million characters: probabilities of each class."""
    answer = load_predictor(project / "package")(["", "\0", "nobody knows these", "goal " * 200_000])

    assert answer.shape == (4, 2)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate."""
    write_splits(tmp_path)
    train(tmp_path)

    for name in ("candidate/model.safetensors", "candidate/model.json", "predictions.parquet"):
        assert (tmp_path / name).read_bytes() == (project / name).read_bytes(), name


def test_an_lstm_trains_and_is_exported_too(tmp_path):
    """The second network of texts."""
    write_splits(tmp_path)
    train(tmp_path, network="lstm", network_options={"width": 8, "hidden": 8}, epochs=1)
    (tmp_path / "evaluate.json").write_text(json.dumps({"fingerprint": "f00d", "score": "accuracy", "metrics": {}}))

    report = package_stage.run(
        package_stage.Params(),
        model=tmp_path / "candidate",
        evaluation=tmp_path / "evaluate.json",
        examples=tmp_path / "splits" / "validation",
        card=tmp_path / "no_card.md",
        out=tmp_path / "package",
    )
    program, info = load_candidate(tmp_path / "candidate")

    assert report.largest_difference < 1e-5
    assert info.classes == list(CLASSES)
    tokens = torch.ones(3, 6, dtype=torch.int32)
    torch.testing.assert_close(load_program(tmp_path / "package")(tokens), program(tokens), atol=1e-6, rtol=0)


@pytest.mark.badinput
def test_a_setting_of_the_encoding_that_does_not_exist_is_refused(tmp_path):
    """With the nearest one that does."""
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match="Did you mean 'max_tokens'"):
        train(tmp_path, encoding={"max_token": 6})


@pytest.mark.badinput
def test_one_class_and_zero_rows_are_refused(tmp_path):
    """Before the first step, with what to do."""
    write_splits(tmp_path)
    for folder, rows, message in (
        ("one", [row for row in sentences(40) if row[1] == "sport"], "all 20 training records are of class 'sport'"),
        ("none", [], "no records"),
    ):
        (tmp_path / folder).mkdir()
        write_splits(tmp_path / folder / "rest")
        write_texts(tmp_path / folder / "splits" / "train", rows)
        write_texts(tmp_path / folder / "augmented", [])

        with pytest.raises(DataError, match=message):
            train(tmp_path / folder)


@pytest.mark.filterwarnings("ignore")  # MLflow 3.17 warns of itself on import
def test_a_process_can_have_models_of_several_tasks_open(project, tmp_path):
    """The loader's module is imported once; each model brings the code of its own task."""
    import mlflow.pyfunc
    import pandas as pd

    texts, probabilities = expected(project)
    for name in ("one", "other"):
        lay_out(read_package(project / "package"), [], tmp_path / name, model_id="m-1")
        if name == "one":
            model = mlflow.pyfunc.load_model(str(tmp_path / name))
            shutil.rmtree(tmp_path / name / "code")
    again = mlflow.pyfunc.load_model(str(tmp_path / "other"))

    for each in (model, again):
        np.testing.assert_allclose(each.predict(pd.DataFrame({"text": texts[:20]})), probabilities[:20], atol=1e-6)


def test_texts_start_from_the_vocabulary_of_the_model(project, tmp_path):
    """A row of the embedding means a word; other texts would give the rows to other words."""
    shutil.copytree(project / "candidate", tmp_path / "initial")
    write_json(tmp_path / "initial" / "initial.json", {"format": 1, "init_from": "there"})
    rows = [(f"{text} elsewhere", kind) for text, kind in sentences(32, seed=7)]
    for name in ("train", "validation", "test"):
        write_texts(tmp_path / "splits" / name, rows)
    write_texts(tmp_path / "augmented", [])
    report = train(tmp_path, initial=tmp_path / "initial", init_from="there", epochs=1)
    before, after = (load_candidate(folder / "candidate")[1].description for folder in (project, tmp_path))

    assert report.initial.share == 1.0
    assert before["encoding"] == after["encoding"]
    (tmp_path / "initial" / "model.json").unlink()
    with pytest.raises(ParamsError, match="nobody knows which tokens they were trained for"):
        train(tmp_path, initial=tmp_path / "initial", init_from="there", epochs=1)
