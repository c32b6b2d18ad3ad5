"""An encoder of a hub, as the library transformers saved it, through refresh and collect into the trainer that reads it."""

import dataclasses
import json
from typing import Any

import pytest
from tests.hub import NAME, serving
from tests.unit.pretrained import bring, save_texts

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256
from headrace.params import parse_section
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import read_lock
from headrace.stages import collect
from headrace.trainers.pretrained import read_folder
from headrace.training.initial import brought

MODEL = f"hf://{NAME}@v1"


@pytest.fixture
def params() -> Any:
    section = {"task": "image_classification", "format": "pixel_csv", "sources": [{"kind": "bundled", "dataset": "digits"}]}
    section |= {"options": {"height": 8, "width": 8, "max_value": 16}}
    section |= {"record": {"height": 8, "width": 8, "channels": 1}}
    return parse_section(section, "collect", collect.Params, where="params.yaml")


def test_an_encoder_of_a_hub_is_that_of_a_folder(params, tmp_path):
    """By name once, then by content: changed bytes are refused, and the second time needs no hub."""
    folder = save_texts(tmp_path / "encoder")
    lock, home = tmp_path / "sources.lock", tmp_path / "downloads"
    with serving() as hub:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        sha = hub.commit(files, "v1")
        places = Places(project=tmp_path, downloads=home, hub=hub.url)
        refresh(params.sources, lock, places, init_from=MODEL)

        hub.commits[sha] = {**files, "model.safetensors": files["model.safetensors"][:-1] + b"!"}
        with pytest.raises(SourceError, match=r"model\.safetensors of hf://tiny/encoder@\w{40} did not come: wrong bytes"):
            collect.run(params, sources=lock, out=tmp_path / "raw", initial=tmp_path / "refused", places=places)
        hub.commits[sha] = files
        collect.run(params, sources=lock, out=tmp_path / "first", initial=tmp_path / "from-hub", places=places)
    offline = dataclasses.replace(places, hub="http://127.0.0.1:9", budget_s=0.1)
    collect.run(params, sources=lock, out=tmp_path / "second", initial=tmp_path / "again", places=offline)

    digests = {path.name: file_sha256(path) for path in (tmp_path / "from-hub").iterdir()}
    assert digests == {path.name: file_sha256(path) for path in (tmp_path / "again").iterdir()}
    local = {path.name: file_sha256(path) for path in bring(tmp_path, "encoder").iterdir() if path.name != "initial.json"}
    assert local.items() <= digests.items()
    assert len(digests) == len(local) + 1
    assert read_lock(lock).initial.version == sha == json.loads((tmp_path / "again" / "initial.json").read_text())["version"]
    initial, options = read_folder(*brought(tmp_path / "again", MODEL))
    assert (initial.origin["version"], options["config"]["model_type"]) == (sha, "bert")
