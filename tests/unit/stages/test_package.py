"""The stage: a real candidate becomes a folder that serves."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from headrace.dataset.schema import read_info
from headrace.dataset.shards import ShardWriter
from headrace.errors import DataError, EngineError, ParamsError
from headrace.params import parse_section
from headrace.stages.package import Params, run
from headrace.storage.manifest import verify
from headrace.training.candidate import load_candidate, write_candidate
from headrace.training.export import load_program
from headrace.training.network import build_network

DESCRIPTION = {"preprocessing": {"mean": [0.4], "std": [0.3]}, "prediction": {"flip": True, "shift": 1}}


def write_pictures(folder, rows):
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.fixed_shape_tensor(pa.uint8(), (6, 6, 1))),
            ("label", pa.int64()),
            ("split", pa.string()),
        ]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 6, 6, 1), dtype=np.uint8)
    record = {"payload": "image", "shape": [6, 6, 1], "dtype": "uint8"}
    with ShardWriter(folder, schema, task="image_classification", classes=["a", "b", "c"], record=record) as writer:
        if rows:
            images = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
            ids = pa.array([f"{row:032x}" for row in range(rows)])
            writer.write(pa.table([ids, images, pa.array([0] * rows), pa.array([""] * rows)], schema=schema))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A candidate with untrained weights, its evaluation, and validation records."""
    root = tmp_path_factory.mktemp("project")
    write_pictures(root / "validation", 12)
    torch.manual_seed(0)
    network, _ = build_network("mlp", {}, input_shape=(6, 6, 1), num_classes=3)
    info = read_info(root / "validation")
    write_candidate(root / "candidate", network, data=info, name="mlp", options={}, description=DESCRIPTION, fingerprint="f00d")
    (root / "evaluate.json").write_text(json.dumps({"fingerprint": "f00d", "score": "accuracy", "metrics": {}}))
    (root / "model_card.md").write_text("# Ours\n\nWritten by people.\n")
    return root


def package(project, out, *, params=None, **changes):
    paths = {
        "model": project / "candidate",
        "evaluation": project / "evaluate.json",
        "examples": project / "validation",
        "card": project / "model_card.md",
        **changes,
    }
    return run(params or Params(), **paths, out=out)


@pytest.fixture(scope="module")
def packaged(project):
    report = package(project, project / "package")
    return project / "package", report


def test_package_holds_what_serving_needs(packaged):
    """And the manifest lists all of it."""
    folder, report = packaged

    expected = [
        "README.md",
        "input_example.json",
        "model.json",
        "model.pt2",
        "model.safetensors",
        "requirements.txt",
        "signature.json",
    ]
    assert sorted(verify(folder)) == expected == sorted(report.files)


def test_packaged_program_answers_as_the_candidate(packaged, project):
    """Raw pictures in, the trained network's probabilities out, for any number of them."""
    module, _ = load_candidate(project / "candidate")
    pictures = torch.randint(0, 256, (9, 6, 6, 1), dtype=torch.uint8)

    answer = load_program(packaged[0])(pictures)

    torch.testing.assert_close(answer, module(pictures), atol=1e-6, rtol=0)


def test_input_example_reproduces(packaged):
    """Whoever serves the model can check their installation with it."""
    folder, _ = packaged
    example = json.loads((folder / "input_example.json").read_text())
    signature = json.loads((folder / "signature.json").read_text())

    answer = load_program(folder)(torch.tensor(example["inputs"], dtype=getattr(torch, signature["inputs"][0]["dtype"])))

    torch.testing.assert_close(answer, torch.tensor(example["outputs"]), atol=example["tolerance"], rtol=0)
    assert signature["inputs"][0]["shape"] == [-1, 6, 6, 1]
    assert signature["outputs"][0]["shape"] == [-1, 3]


def test_requirements_are_exact_pins_without_a_build(packaged):
    """'2.13.0+cpu' cannot be installed from the index."""
    lines = (packaged[0] / "requirements.txt").read_text().splitlines()

    assert [line.split("==")[0] for line in lines] == ["numpy", "torch"]
    assert not any("+" in line for line in lines)


def test_card_keeps_what_people_wrote(packaged):
    """On every regeneration."""
    assert "# Ours\n\nWritten by people." in (packaged[0] / "README.md").read_text()


def test_packaged_twice_is_equal_to_the_byte(packaged, project, tmp_path):
    """DVC hashes the folder; the report is hashed too."""
    again = package(project, tmp_path / "again")

    assert again == packaged[1]
    for path in packaged[0].iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_missing_card_is_fine(project, tmp_path):
    """A project need not have a model_card.md."""
    package(project, tmp_path / "out", card=tmp_path / "absent.md")

    assert "# Model card" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.badinput
def test_weights_with_nan_are_refused(project, tmp_path):
    """They would be served as confident nonsense."""
    shutil.copytree(project / "candidate", tmp_path / "bad")
    weights = load_file(tmp_path / "bad" / "model.safetensors")
    first = sorted(weights)[0]
    weights[first].view(-1)[0] = float("nan")
    save_file(weights, tmp_path / "bad" / "model.safetensors")

    with pytest.raises(DataError, match="holds NaN or infinity"):
        package(project, tmp_path / "out", model=tmp_path / "bad")


@pytest.mark.badinput
def test_model_folder_of_another_kind_is_told_what_is_needed(project, tmp_path):
    """An own trainer's first contact with this stage."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.joblib").write_bytes(b"x")

    with pytest.raises(DataError, match=r"holds model\.joblib, but neither model\.safetensors nor model\.onnx.*write_candidate"):
        package(project, tmp_path / "out", model=tmp_path / "own")


@pytest.mark.badinput
def test_evaluation_of_another_model_is_refused(project, tmp_path):
    """Else the card would praise a model with another one's numbers."""
    (tmp_path / "evaluate.json").write_text(json.dumps({"fingerprint": "beef"}))

    with pytest.raises(DataError, match="judges another model"):
        package(project, tmp_path / "out", evaluation=tmp_path / "evaluate.json")


@pytest.mark.badinput
@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_records_to_check_on_are_refused(project, tmp_path, rows):
    """A program that was compared on nothing was not compared."""
    write_pictures(tmp_path / "few", rows)

    with pytest.raises(DataError, match=f"has {rows} records"):
        package(project, tmp_path / "out", examples=tmp_path / "few")


@pytest.mark.badinput
def test_program_that_differs_is_refused_and_nothing_is_written(project, tmp_path, monkeypatch):
    """The check must be able to fail."""
    from headrace.training import network_package as library

    monkeypatch.setattr(library, "largest_difference", lambda program, module, records: 0.5)

    with pytest.raises(EngineError, match=r"differ by 0\.5 on 12 records, more than package\.tolerance 1e-05"):
        package(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.badinput
def test_a_tolerance_that_no_probability_exceeds_is_refused(project, tmp_path):
    """The comparison could not fail; numbers to predict may need one."""
    with pytest.raises(ParamsError, match=r"package\.tolerance is 5: no two probabilities differ by more than 1"):
        package(project, tmp_path / "out", params=Params(tolerance=5))
    assert not (tmp_path / "out").exists()


def test_tolerance_of_nothing_is_refused():
    """0 would refuse every model on another machine."""
    with pytest.raises(ParamsError, match=r"package\.tolerance"):
        parse_section({"tolerance": 0}, "package", Params, where="params.yaml")
