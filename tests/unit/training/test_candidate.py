"""The model folder and the predictions file: what makes anything a trainer."""

import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import DataError
from headrace.tasks import image_classification as task
from headrace.training.candidate import load_candidate, write_candidate, write_predictions
from headrace.training.network import build_network

DESCRIPTION = {"preprocessing": {"mean": [0.0], "std": [1.0]}, "prediction": {}}


def linear() -> nn.Module:
    torch.manual_seed(0)
    return build_network("mlp", {"hidden": []}, input_shape=(8, 8, 1), num_classes=3)[0]


@pytest.fixture
def folder(splits, tmp_path):
    data = read_info(splits / "train")
    write_candidate(tmp_path / "model", linear(), data=data, name="mlp", options={"hidden": []}, description=DESCRIPTION, seed=1)
    return tmp_path / "model"


def test_loaded_candidate_answers_like_the_trained_network(folder):
    """Weights, classes and preprocessing travel in the folder, nothing else is needed."""
    program, info = load_candidate(folder)
    images = torch.randint(0, 256, (5, 8, 8, 1), dtype=torch.uint8)
    expected = torch.softmax(linear()(images.float() / 255), dim=1)

    torch.testing.assert_close(program(images), expected)
    assert info.classes == ["left", "right", "none"]
    assert info.parameters == 64 * 3 + 3
    assert not program.training


def test_scikit_learn_model_as_a_candidate(splits, tmp_path):
    """A trainer is anything that writes the folder: a logistic regression is a dense network without hidden layers."""
    data = read_info(splits / "train")
    table = read_table(splits / "train")
    x, y = task.features(table, data.record), table["label"].to_numpy()
    fitted = LogisticRegression(max_iter=500).fit(x, y)
    network = linear()
    network.load_state_dict({"1.weight": torch.from_numpy(fitted.coef_), "1.bias": torch.from_numpy(fitted.intercept_)})
    write_candidate(tmp_path / "m", network, data=data, name="mlp", options={"hidden": []}, description=DESCRIPTION)
    program, _ = load_candidate(tmp_path / "m")

    found = program(torch.tensor(task.inputs(table, data.record))).detach().numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(x), atol=1e-5)


def test_equal_candidates_have_equal_bytes(splits, tmp_path):
    """DVC hashes the folder: no clock, host or dictionary order in it."""
    data = read_info(splits / "train")
    for name in ("one", "two"):
        write_candidate(tmp_path / name, linear(), data=data, name="mlp", options={"hidden": []}, description=DESCRIPTION)

    for file in ("model.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.badinput
def test_weights_that_are_not_finite_are_never_saved(splits, tmp_path):
    """Such a model answers NaN to everything."""
    network = linear()
    with torch.no_grad():
        network[1].weight[0, 0] = float("nan")

    with pytest.raises(DataError, match=r"weight '1\.weight' holds NaN"):
        write_candidate(
            tmp_path / "m", network, data=read_info(splits / "train"), name="mlp", options={"hidden": []}, description=DESCRIPTION
        )


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), "has no model.json"),
        (lambda folder: (folder / "model.json").write_text("{}"), "cannot be understood"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 50), "is damaged"),
        (lambda folder: os.truncate(folder / "model.safetensors", 500), "is damaged"),
    ],
)
def test_damaged_folder_is_named(folder, damage, message):
    """What was written elsewhere is checked before it is used."""
    damage(folder)

    with pytest.raises(DataError, match=message):
        load_candidate(folder)


@pytest.mark.badinput
def test_weights_of_another_network_are_refused(folder):
    """Shapes are compared, not assumed."""
    info = json.loads((folder / "model.json").read_text())
    info["network"]["options"] = {"hidden": [5]}
    (folder / "model.json").write_text(json.dumps(info))

    with pytest.raises(DataError, match="do not fit network 'mlp'"):
        load_candidate(folder)


def test_predictions_round_trip(tmp_path):
    """The columns that evaluate reads, in the order given."""
    probabilities = np.array([[0.25, 0.75], [1, 0]])
    splits = ["test", "validation"]
    write_predictions(tmp_path / "p.parquet", ids=["a", "b"], splits=splits, labels=[1, 0], probabilities=probabilities)
    table = pq.read_table(tmp_path / "p.parquet")

    assert table.to_pydict() == {
        "id": ["a", "b"],
        "split": ["test", "validation"],
        "label": [1, 0],
        "probabilities": [[0.25, 0.75], [1.0, 0.0]],
    }
    assert str(table.schema.field("probabilities").type) == "fixed_size_list<element: float>[2]"


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, float("nan")]], "must be finite"),
        ([[2.0, 3.0]], "sum to 1"),
        ([[0.5, 0.5], [0.5, 0.5]], "one row for each record"),
        ([0.5], "one row for each record"),
    ],
)
def test_predictions_that_are_no_distribution_are_refused(tmp_path, probabilities, message):
    """An own trainer that writes scores instead of probabilities is told at once."""
    with pytest.raises(DataError, match=message):
        write_predictions(tmp_path / "p.parquet", ids=["a"], splits=["test"], labels=[0], probabilities=np.array(probabilities))
