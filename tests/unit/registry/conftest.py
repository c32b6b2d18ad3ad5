"""A package folder without a real program: enough for whatever does not predict."""

import hashlib
import json

import pytest


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    model = {
        "format": 1,
        "task": "image_classification",
        "classes": ["a", "b"],
        "record": {"shape": [4, 4, 1]},
        "fingerprint": "f1",
    }
    (folder / "model.pt2").write_bytes(bytes(range(256)) * 4)
    for name in ("signature.json", "input_example.json"):
        (folder / name).write_text("{}")
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "requirements.txt").write_text("torch\n")
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in folder.iterdir()
    }
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return folder
