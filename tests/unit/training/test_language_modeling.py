"""From raw text to one number for each record: the same in training, from the package, and where only MLflow, torch and numpy are."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.projects import REPOSITORY
from tests.unit import candidates
from tests.unit.running_text import paragraphs, write_running_text

from headrace.errors import DataError, ParamsError
from headrace.evaluation import language_modeling as evaluation
from headrace.evaluation.scores import read_scores
from headrace.listening import SilentProgress
from headrace.registry.packages import read_package
from headrace.registry.scoring import predict_package
from headrace.stages import baseline as baseline_stage
from headrace.tasks import language_modeling as task
from headrace.training.predictor import load_predictor

SETTINGS = {
    "network": "gpt",
    "network_options": {"width": 16, "blocks": 1, "heads": 2},
    "encoding": {"context": 16, "min_count": 1},
    "epochs": 3,
    "batch_size": 8,
    "channels_last": False,
    "threads": 1,
}
TOLERANCE = 1e-4


def train(project: Path, *, tracker=None, progress=None, **changes):
    return candidates.train({**SETTINGS, **changes}, project, tracker=tracker, progress=progress)


def write_splits(project: Path) -> None:
    for number, (name, count) in enumerate({"train": 200, "validation": 20, "test": 1000}.items()):
        write_running_text(project / "splits" / name, paragraphs(count, seed=number), characters=80)
    write_running_text(project / "augmented", [])


def pack(project: Path):
    return candidates.package(project, score="log_likelihood_per_byte", tolerance=TOLERANCE, check_records=16)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Splits of running text, a trained candidate with its scores, baselines, and a package."""
    root = tmp_path_factory.mktemp("project")
    write_splits(root)
    (root / "train.json").write_text(train(root).to_json())
    baseline_stage.run(
        baseline_stage.Params(models=("unigram", "ngram"), config={"order": 4, "min_count": 1}),
        splits=root / "splits",
        out=root / "baselines.parquet",
    )
    pack(root)
    return root


def expected(project: Path) -> tuple[np.ndarray, np.ndarray]:
    """Texts of the test split and the scores that training gave them."""
    texts = np.array(pq.read_table(project / "splits" / "test" / "part-00000.parquet")["text"].to_pylist(), dtype=object)
    assert len(texts) >= 1000
    return texts, read_scores(project / "predictions.parquet", "test").values


def test_it_learns_to_expect_the_text(project):
    """Better than a table of how frequent each character is."""
    judged = evaluation.judge(
        project / "predictions.parquet",
        project / "baselines.parquet",
        json.loads((project / "candidate" / "model.json").read_text()),
        evaluation.Options(),
    )
    assert judged.scores.mean() > judged.baseline_scores["unigram"].mean()
    assert judged.metrics["loss_per_character"] == pytest.approx(-judged.scores.mean())
    assert judged.metrics["bits_per_byte"] == pytest.approx(-judged.scores.mean() / np.log(2))
    assert judged.metrics["validation_loss_per_character"] is not None


def test_loss_of_the_loop_is_that_of_the_records(project):
    """Blocks and records cut the same text at other places, and must not tell another story."""
    report = json.loads((project / "train.json").read_text())
    scores = read_scores(project / "predictions.parquet", "validation").values

    assert report["headline"].startswith(f"validation loss {report['validation_loss']:.4f}, ")
    assert report["validation_loss"] == pytest.approx(-scores.mean(), abs=0.15)


def test_our_predictor_answers_raw_texts_as_training_did(project):
    """The tokens travel with the weights."""
    texts, scores = expected(project)

    np.testing.assert_allclose(task.score(load_predictor(project / "package")(texts), texts), scores, atol=1e-5)


@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
def test_mlflow_answers_raw_texts_as_training_did_without_headrace(project, tmp_path, tokenizer):
    """A server has MLflow, torch, numpy, and for pairs of bytes the tokenizers library that the requirements name."""
    made = project
    if tokenizer == "bpe":
        made = tmp_path / "bpe"
        write_splits(made)
        train(made, encoding={"context": 16, "tokenizer": "bpe", "vocabulary": 300}, epochs=1)
        pack(made)
    texts, scores = expected(made)
    np.testing.assert_allclose(task.score(candidates.answers_elsewhere(made, texts), texts), scores, atol=1e-5)
    assert ("tokenizers==" in (made / "package" / "requirements.txt").read_text()) == (tokenizer == "bpe")


def test_a_comparison_in_the_registry_scores_raw_texts(project, tmp_path):
    """`promote` runs the champion on the challenger's test split."""
    _, scores = expected(project)
    decided = predict_package(read_package(project / "package"), project / "splits" / "test", cache=tmp_path / "cache")
    assert decided.digest() == read_scores(project / "predictions.parquet", "test").digest()
    np.testing.assert_allclose(decided.values, scores, atol=1e-5)


def test_any_text_has_an_answer_from_the_package(project):
    """Empty, unknown, or of a million characters, of which the beginning is read."""
    answer = load_predictor(project / "package")(["", "\0", "\u03c9", "king " * 200_000])
    assert np.isfinite(answer).all()
    assert (answer <= 0).all()
    assert (answer[0] == 0).all()


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    """DVC hashes the candidate."""
    write_splits(tmp_path)
    train(tmp_path)

    for name in ("candidate/model.safetensors", "candidate/model.json", "predictions.parquet"):
        assert (tmp_path / name).read_bytes() == (project / name).read_bytes(), name


KILLED = """
import os, signal, sys
from pathlib import Path
from headrace.listening import SilentTracker
from headrace.training import loop
from tests.unit.training.test_language_modeling import FORGETFUL, train

class KillAt(SilentTracker):
    def log(self, step, metrics):
        if step >= 20:
            os.kill(os.getpid(), signal.SIGKILL)

loop.fit.__kwdefaults__["save_every_s"] = 0
train(Path(sys.argv[1]), tracker=KillAt(), **FORGETFUL)
"""
FORGETFUL = {"network_options": {**SETTINGS["network_options"], "dropout": 0.2}, "prediction": {"samples": 1}}
"""Dropout has a state that a careless resume forgets."""


@pytest.mark.fault
def test_a_training_killed_in_mid_epoch_goes_on_to_the_same_bytes(tmp_path):
    """Weights, losses of the test records and the text that it writes are those of a training that nobody disturbed."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        write_splits(folder)
    whole = train(undisturbed, **FORGETFUL)
    done = subprocess.run([sys.executable, "-c", KILLED, str(killed)], cwd=REPOSITORY, timeout=300, check=False)
    said: list[str] = []

    class Said(SilentProgress):
        def say(self, line: str) -> None:
            said.append(line)

    resumed = train(killed, progress=Said(), **FORGETFUL)

    assert done.returncode == -signal.SIGKILL
    assert 0 < int(re.search(r"resumed after step (\d+) of", " ".join(said))[1]) % (whole.steps // whole.epochs)
    assert resumed == whole
    for name in (
        "candidate/model.safetensors",
        "candidate/model.json",
        "predictions.parquet",
        "plots/history.csv",
        "plots/samples.json",
    ):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes(), name


@pytest.mark.badinput
def test_records_much_longer_than_those_of_training_are_refused(tmp_path):
    """They would be read in part, and the model praised for the rest."""
    write_running_text(tmp_path / "splits" / "train", paragraphs(200), characters=80)
    write_running_text(tmp_path / "splits" / "validation", paragraphs(20, seed=1), characters=80)
    write_running_text(tmp_path / "splits" / "test", ["".join(paragraphs(30, seed=2))], characters=800)
    write_running_text(tmp_path / "augmented", [])

    with pytest.raises(DataError, match="so much longer than those of the training split"):
        train(tmp_path, epochs=1)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"calibrate": True}, "train.calibrate is about probabilities of classes"),
        ({"batch_size": 4096}, "there are only .* training blocks"),
        ({"encoding": {"contxt": 4}}, "Did you mean 'context'"),
        ({"network": "small_cnn", "network_options": {}}, "does not fit the data"),
        ({"augmentation": {"flip": 1}}, "its records cannot be changed"),
    ],
    ids=["calibrate", "batch", "typo", "network", "augmentation"],
)
def test_settings_that_do_not_fit_are_refused(project, tmp_path, changes, words):
    """Before the first step, with what to write instead."""
    write_splits(tmp_path)

    with pytest.raises(ParamsError, match=words):
        train(tmp_path, **changes)


@pytest.mark.badinput
def test_zero_rows_are_refused(tmp_path):
    """There is nothing to learn tokens from."""
    for name in ("splits/train", "splits/validation", "splits/test", "augmented"):
        write_running_text(tmp_path / name, [])

    with pytest.raises(DataError, match="no records"):
        train(tmp_path)
