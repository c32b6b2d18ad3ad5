"""Weights that a training starts from: what is taken over, what is left, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from headrace.errors import ConfigError, DataError, ParamsError
from headrace.storage.local import write_json
from headrace.training.description import CandidateInfo
from headrace.training.initial import Initial, known_description, read_initial, take_over
from headrace.training.network import build_network

ORIGIN = {"init_from": "models:/low@champion", "version": "3", "package": "d" * 64}
RECORD = {"payload": "image", "shape": [8, 8, 1], "dtype": "uint8"}


def build(classes: int, *, width: int = 4, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    options = {"width": width, "stem_stride": 1, "stem_kernel": 3}
    return build_network("small_cnn", options, input_shape=(8, 8, 1), num_classes=classes)[0]


def initial(network: nn.Module, classes: list[str] | None) -> Initial:
    info = None
    if classes is not None:
        info = CandidateInfo.model_validate(
            {
                "task": "image_classification",
                "classes": classes,
                "record": RECORD,
                "network": {"name": "small_cnn", "options": {"width": 4}},
                "description": {"preprocessing": {"mean": [0.5], "std": [0.2]}, "prediction": {}, "temperature": 2.0},
                "parameters": 1,
            }
        )
    return Initial(network.state_dict(), info, ORIGIN)


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c"]])
def test_the_backbone_is_taken_over_and_the_scores_of_other_classes_are_not(classes):
    """Two other classes have scores of the same shape as two classes: a name must not be taken for a meaning."""
    model, network = build(2, seed=1), build(len(classes), seed=2)
    first = network[6].weight.clone()
    told, backbone = take_over(initial(model, ["c", "d"]), network, build, classes=classes, name="small_cnn")

    assert torch.equal(network[0][0].weight, model[0][0].weight)
    assert torch.equal(network[3][1].running_mean, model[3][1].running_mean)
    assert torch.equal(network[6].weight, first)
    assert told.fresh == ["6"] == told.unused
    assert {"0.0.weight", "3.1.running_var"} <= backbone
    assert 0.9 < told.share < 1


def test_the_scores_of_the_same_classes_are_taken_over_too():
    """More data of the same kind go on from where the model stands."""
    model, network = build(2, seed=1), build(2, seed=2)
    told, backbone = take_over(initial(model, ["a", "b"]), network, build, classes=["a", "b"], name="small_cnn")

    assert torch.equal(network[6].weight, model[6].weight)
    assert (told.fresh, told.share) == ([], 1.0)
    assert "6.weight" not in backbone


def test_a_file_of_weights_alone_gives_its_backbone():
    """Nobody knows which classes its scores were of."""
    told, _ = take_over(initial(build(2), None), build(2, seed=2), build, classes=["a", "b"], name="small_cnn")

    assert told.fresh == ["6"]


def test_taking_over_draws_nothing():
    """What is random afterwards, dropout first, is the same with other weights."""
    network = build(2)
    before = torch.get_rng_state()
    take_over(initial(build(2), ["c", "d"]), network, build, classes=["a", "b"], name="small_cnn")
    torch.manual_seed(1)
    build(2)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_is_shown_numbers_as_the_model_was():
    """Weights mean something for inputs of the same scale only; the temperature belongs to the old scores."""
    found = initial(build(2), ["a", "b"])

    assert known_description(found, task="image_classification", record=RECORD) == {
        "preprocessing": {"mean": [0.5], "std": [0.2]}
    }
    assert known_description(found, task="image_classification", record=RECORD | {"shape": [8, 8, 3]}) == {}
    larger = known_description(found, task="image_classification", record=RECORD | {"shape": [16, 16, 1]})
    assert larger == known_description(found, task="image_classification", record=RECORD)
    assert known_description(initial(build(2), None), task="image_classification", record=RECORD) == {}


@pytest.mark.badinput
def test_another_architecture_is_named(tmp_path):
    """Both are told, with an example of each, and what the model is."""
    with pytest.raises(
        ParamsError, match=r"'0.0.weight' of 4x1x3x3, the network with '0.0.weight' of 6x1x3x3.*small_cnn with .*width"
    ):
        take_over(
            initial(build(2), ["a", "b"]),
            build(2, width=6),
            lambda classes: build(classes, width=6),
            classes=["a", "b"],
            name="small_cnn",
        )


@pytest.mark.badinput
def test_a_model_of_another_task_is_refused():
    with pytest.raises(ParamsError, match="is a model of image_classification, these records are of text_classification"):
        known_description(initial(build(2), ["a"]), task="text_classification", record=RECORD)


def folder(path: Path, *, init_from: str | None = "weights.safetensors", weight: float = 1.0) -> Path:
    path.mkdir()
    save_file({"a.weight": torch.full((2, 2), weight)}, path / "model.safetensors")
    write_json(path / "initial.json", {"format": 1, "init_from": init_from})
    return path


def test_what_collect_brought_is_read(tmp_path):
    found = read_initial(folder(tmp_path / "initial"), "weights.safetensors")

    assert found is not None
    assert found.info is None
    assert found.weights["a.weight"].shape == (2, 2)
    assert read_initial(tmp_path / "initial", None) is None


@pytest.mark.badinput
def test_weights_that_were_not_pinned_are_refused(tmp_path):
    """params.yaml was edited after the lock was written."""
    with pytest.raises(
        ParamsError, match=r"train.init_from is other, data/sources.lock has weights.safetensors. Run `headrace sources"
    ):
        read_initial(folder(tmp_path / "one"), "other")
    with pytest.raises(ParamsError, match=r"data/sources.lock has no weights"):
        read_initial(folder(tmp_path / "two", init_from=None), "other")


@pytest.mark.badinput
def test_a_dag_of_before_says_what_it_lacks(tmp_path):
    """A project of its own keeps its dvc.yaml through an upgrade."""
    with pytest.raises(ConfigError, match="add `--initial models/initial`"):
        read_initial(None, "weights.safetensors")


@pytest.mark.badinput
def test_damaged_and_infinite_weights_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"weight 'a.weight' holds NaN or infinity"):
        read_initial(folder(tmp_path / "nan", weight=float("nan")), "weights.safetensors")
    damaged = folder(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(json.dumps({"no": "header"}).encode())
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        read_initial(damaged, "weights.safetensors")
