"""The stage `train`: the same bytes from the same inputs, resumed or not, watched or not."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.unit import candidates
from tests.unit.training.tiny_training import write_squares

from headrace.errors import DataError, HeadraceError, ParamsError
from headrace.listening import SilentTracker
from headrace.params import Report
from headrace.trainers.network import TransferReport
from headrace.training.candidate import load_candidate
from headrace.training.loop import fit

VALUES = {
    "network": "small_cnn",
    "network_options": {"width": 4, "stem_stride": 1, "dropout": 0.1},
    "epochs": 3,
    "batch_size": 16,
    "augmentation": {"random_crop": {"pad": 1}, "noise": 0.01},
}


def train(
    folder: Path, out: Path, *, tracker: SilentTracker | None = None, initial: Path | None = None, **changes: object
) -> Report:
    return candidates.train(VALUES | changes, folder, out, tracker=tracker, initial=initial)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed, (name, count) in enumerate({"train": 96, "validation": 24, "test": 30}.items()):
        write_squares(tmp_path / "splits" / name, count, seed=seed)
    write_squares(tmp_path / "augmented", 0)
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_inputs_give_the_same_bytes(data):
    """DVC hashes every output, so a second run must not differ in one bit."""
    first = train(data, data / "one")
    second = train(data, data / "two")

    assert first == second
    assert digests(data / "one") == digests(data / "two")
    assert sorted(digests(data / "one")) == [
        "candidate/model.json",
        "candidate/model.safetensors",
        "plots/history.csv",
        "predictions.parquet",
    ]


def test_killed_stage_resumes_to_the_same_bytes(data, monkeypatch):
    """The scratch folder survives a kill; nothing in the outputs may show it."""

    class Stop(SilentTracker):
        def log(self, step, metrics):
            if step == 10:
                raise KeyboardInterrupt

    train(data, data / "whole")
    monkeypatch.setitem(fit.__kwdefaults__, "save_every_s", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(data, data / "cut", tracker=Stop())
    left = list((data / "scratch").glob("checkpoint-*"))
    monkeypatch.undo()
    train(data, data / "resumed")

    assert len(left) == 1
    assert digests(data / "whole") == digests(data / "resumed")
    assert not list((data / "scratch").glob("*"))


def test_predictions_stand_in_the_order_of_the_data(data):
    """Evaluate joins by id, but a reader compares by eye: validation first, then test."""
    train(data, data / "out")
    table = pq.read_table(data / "out" / "predictions.parquet")
    probabilities = np.array(table["probabilities"].to_pylist())

    assert table["split"].to_pylist() == ["validation"] * 24 + ["test"] * 30
    assert table["label"].to_pylist() == [i % 3 for i in range(24)] + [i % 3 for i in range(30)]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_refit_trains_on_validation_too_and_predicts_only_the_test(data):
    """A prediction for a record the model was trained on would look like evidence."""
    report = train(data, data / "out", refit=True)

    assert report.samples == 120
    assert report.validation_accuracy is None
    assert set(pq.read_table(data / "out" / "predictions.parquet")["split"].to_pylist()) == {"test"}


def test_calibration_changes_no_answer_and_is_part_of_the_model(data):
    """The temperature divides the scores: which class wins stays; the package is built from the same description."""
    plain = train(data, data / "plain")
    calibrated = train(data, data / "calibrated", calibrate=True)
    before, after = (
        np.array(pq.read_table(data / name / "predictions.parquet")["probabilities"].to_pylist())
        for name in ("plain", "calibrated")
    )

    assert plain.temperature is None
    assert calibrated.temperature not in (None, 1.0)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert np.abs(before - after).max() > 1e-3
    program, _ = load_candidate(data / "calibrated" / "candidate")
    assert program.temperature == calibrated.temperature


def test_augmented_records_are_trained_on(data):
    """What the stage `augment` writes is added to the training split."""
    (data / "augmented" / "dataset.json").unlink()
    write_squares(data / "augmented", 32, seed=7)

    assert train(data, data / "out").samples == 128


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, r"'train\.seed' is -1"),
        ({"learning_rate": 1}, r"unknown key 'train\.learning_rate'"),
        ({"optimizer": {"peak_lr": 0}}, r"'train\.optimizer\.peak_lr' is 0"),
        ({"network": "smal_cnn"}, r"train\.network is 'smal_cnn'.*Did you mean 'small_cnn'"),
        ({"batch_size": 200}, r"train\.batch_size is 200, but there are only 96"),
        ({"precision": "fp16"}, r"train\.precision is fp16, which needs a GPU"),
        ({"prediction": {"flips": True}}, r"unknown key 'train\.prediction\.flips'"),
        ({"augmentation": {"random_crop": {"pad": 8}}}, r"train\.augmentation\.random_crop\.pad is 8"),
        ({"refit": True, "patience": 2}, r"train\.patience need a validation split"),
        ({"refit": True, "calibrate": True}, r"train\.calibrate measures on the validation split, and there is none"),
    ],
)
def test_params_that_cannot_work_are_refused(data, changes, message):
    """Each names the key to change."""
    with pytest.raises(ParamsError, match=message):
        train(data, data / "out", **changes)


@pytest.mark.badinput
def test_one_class_is_refused(data):
    """There is nothing to tell apart."""
    (data / "splits" / "train" / "dataset.json").unlink()
    write_squares(data / "splits" / "train", 96, labels=np.zeros(96, np.int64))

    with pytest.raises(DataError, match="of class 'left'"):
        train(data, data / "out")


@pytest.mark.badinput
def test_absurd_learning_rate_ends_in_a_clear_message(data):
    """Either the loss says so or the weights do; never a model full of NaN."""
    with pytest.raises(HeadraceError, match=r"peak_lr|holds NaN"):
        train(
            data,
            data / "out",
            optimizer={"name": "sgd", "peak_lr": 100.0, "weight_decay": 1000.0},
            network="mlp",
            network_options={"hidden": [16, 16]},
            epochs=30,
        )


def test_a_training_starts_from_the_weights_that_were_brought(data):
    """What it took over is in the report and in model.json; the same classes go on where the model stood."""
    train(data, data / "one")
    (data / "one" / "candidate" / "initial.json").write_text('{"format": 1, "init_from": "weights", "version": "2"}')
    report = train(
        data, data / "two", initial=data / "one" / "candidate", init_from="weights", epochs=1, backbone={"frozen_epochs": 1}
    )
    before, after = (load_file(data / name / "candidate" / "model.safetensors") for name in ("one", "two"))

    assert isinstance(report, TransferReport)
    assert (report.initial.version, report.initial.share, report.initial.fresh) == ("2", 1.0, [])
    assert load_candidate(data / "two" / "candidate")[1].training["initial"]["init_from"] == "weights"
    assert torch.equal(before["0.0.weight"], after["0.0.weight"])
    assert not torch.equal(before["6.weight"], after["6.weight"])


def test_weights_that_nobody_asked_for_change_nothing(data):
    """The comparison without them reads the same lock, and says that the settings of a backbone have no effect."""
    train(data, data / "one")
    (data / "one" / "candidate" / "initial.json").write_text('{"format": 1, "init_from": "weights"}')
    train(data, data / "two", initial=data / "one" / "candidate", backbone={"lr_factor": 0.1})

    assert digests(data / "one" / "candidate")["model.safetensors"] == digests(data / "two" / "candidate")["model.safetensors"]


@pytest.mark.badinput
def test_more_frozen_epochs_than_epochs_are_refused(data):
    with pytest.raises(ParamsError, match="frozen_epochs is 4, and there are 3 epochs"):
        train(data, data / "one", backbone={"frozen_epochs": 4})
