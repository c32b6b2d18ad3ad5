"""What a training needs before its first step."""

import pytest
import torch
from tests.unit.training.tiny_training import write_squares

from headrace.errors import DataError, ParamsError
from headrace.tasks import image_classification as task
from headrace.training.loop import FitConfig
from headrace.training.session import Session, open_session

CPU = torch.device("cpu")


def session(splits, tmp_path, **changes) -> Session:
    options = {
        "seed": 1,
        "network": ("whitened_cnn", {"widths": [4]}),
        "loss": None,
        "prediction": {"flip": True},
        "augment": None,
        "device": CPU,
        "scratch": tmp_path / "scratch",
    } | changes
    return open_session(FitConfig(batch_size=16), [splits / "train"], splits / "validation", task, **options)


def test_network_sees_data_of_zero_mean(splits, tmp_path):
    """Normalisation is measured on the training split and used for every batch."""
    opened = session(splits, tmp_path)
    x = torch.cat([opened.train.at(step)[0] for step in range(opened.train.per_epoch)])

    assert x.mean().abs() < 1e-4
    assert x.std() == pytest.approx(1, abs=1e-3)


def test_stem_is_initialised_from_the_data(splits, tmp_path):
    """Images in class order must not whiten by one class: the sample is drawn by the seed."""
    one, again, other = (session(splits, tmp_path, seed=seed).network.stem.weight for seed in (1, 1, 2))

    assert torch.equal(one, again)
    torch.testing.assert_close(one.abs(), other.abs(), atol=1e-3, rtol=1e-2)  # all 96 images are used: only the sign may differ


def test_program_around_the_network_answers_raw_images(splits, tmp_path):
    """The description kept in model.json builds the program that predicts."""
    opened = session(splits, tmp_path)
    program = opened.around(opened.network)

    assert program(torch.zeros(2, 8, 8, 1, dtype=torch.uint8)).shape == (2, 3)
    assert opened.description["prediction"] == {"flip": True, "shift": 0}


def test_an_empty_validation_split_measures_nothing(splits, tmp_path):
    """A recipe may give all records to training."""
    write_squares(tmp_path / "none", 0)
    opened = open_session(
        FitConfig(batch_size=16),
        [splits / "train"],
        tmp_path / "none",
        task,
        seed=1,
        network=("mlp", {}),
        loss=None,
        prediction={},
        augment=None,
        device=CPU,
        scratch=tmp_path,
    )

    assert opened.validation is None


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"network": ("nothing", {})}, ParamsError, r"train\.network is 'nothing'"),
        ({"loss": "mean"}, ParamsError, r"train\.loss is 'mean'"),
        ({"prediction": {"shift": -1}}, ParamsError, r"train\.prediction\.shift"),
    ],
)
def test_wrong_names_are_refused(splits, tmp_path, changes, error, message):
    """Before anything is trained."""
    with pytest.raises(error, match=message):
        session(splits, tmp_path, **changes)


@pytest.mark.badinput
def test_a_train_split_without_records_is_refused(splits, tmp_path):
    """Training on nothing must not end as a model."""
    (splits / "train" / "dataset.json").unlink()
    write_squares(splits / "train", 0)

    with pytest.raises(DataError, match="no records"):
        session(splits, tmp_path)
