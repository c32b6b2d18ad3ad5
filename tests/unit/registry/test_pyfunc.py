"""The loader that travels with a registered model refuses what torch would run as code, as Headrace itself does."""

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.measured import write_records
from tests.unit.training.test_program import ATTACKS, Canary, Halve, rewritten

from headrace.errors import RegistryError
from headrace.registry.packages import lay_out, read_package
from headrace.registry.scoring import predict_package
from headrace.training.export import export_program

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow 3.17 on import


@pytest.fixture(scope="module")
def content():
    return export_program(Halve().eval(), torch.zeros(2, 3), name="halve")


@pytest.fixture
def registered(package, tmp_path):
    """A package with these bytes as its program and a manifest that fits, laid out as a registered model."""

    def do(content: bytes) -> Path:
        (package / "model.pt2").write_bytes(content)
        manifest = json.loads((package / "manifest.json").read_text())
        manifest["files"]["model.pt2"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (package / "manifest.json").write_text(json.dumps(manifest))
        lay_out(read_package(package), [], tmp_path / "registered", model_id="m-1")
        return tmp_path / "registered"

    return do


def load(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """What MLflow does with a model's folder: its code on the path, its loader called with its data."""
    monkeypatch.syspath_prepend(str(folder / "code"))
    for name in ("headrace_package_5", "headrace_pt2_4"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import headrace_package_5

    return headrace_package_5._load_pyfunc(str(folder / "package"))


def poisoned(content: bytes, canary: Path) -> bytes:
    """A program whose sample inputs are a pickle that makes a file; torch's own loader opens it."""
    poison = io.BytesIO()
    torch.save(({}, Canary(canary)), poison)
    return rewritten(content, lambda records: records.update({"data/sample_inputs/model.pt": poison.getvalue()}))


def test_it_works_without_headrace(registered, content):
    """A server has MLflow, torch and numpy; nothing of ours can be imported there."""
    folder = registered(content)
    script = (
        "import sys, numpy as np\n"
        "sys.modules['headrace'] = None\n"
        f"sys.path.insert(0, {str(folder / 'code')!r})\n"
        "import headrace_package_5 as loader\n"
        f"print(loader._load_pyfunc({str(folder / 'package')!r}).predict(np.zeros((5, 3), np.float32)).shape)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert ended.stdout == "(5, 2)\n", ended.stderr


@pytest.mark.badinput
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_loader_of_a_registered_model_refuses_code(registered, content, attack, monkeypatch):
    """A manifest that fits proves nothing: whoever makes the program makes the manifest."""
    folder = registered(rewritten(content, attack))

    with pytest.raises(ValueError, match="which runs as code when it is opened"):
        load(folder, monkeypatch)


@pytest.mark.badinput
def test_a_pickle_in_a_registered_model_never_runs(registered, content, tmp_path, monkeypatch):
    """With torch.export.load alone the canary would sing."""
    folder = registered(poisoned(content, tmp_path / "PWNED"))

    with pytest.raises(ValueError, match="pickled sample inputs"):
        load(folder, monkeypatch)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.badinput
def test_a_comparison_never_runs_what_a_package_brings(registered, content, tmp_path):
    """`headrace promote` opens the champion in its own process."""
    folder = registered(poisoned(content, tmp_path / "PWNED"))
    split = write_records(tmp_path / "test")

    with pytest.raises(RegistryError, match="pickled sample inputs"):
        predict_package(read_package(folder / "package"), split, cache=tmp_path / "cache")
    assert not (tmp_path / "PWNED").exists()


def test_predictions_of_the_loaded_model_are_those_of_the_program(registered, content, monkeypatch):
    """Read-only arrays too, as MLflow may hand them over."""
    inputs = np.random.default_rng(0).random((4, 3), dtype=np.float32)
    inputs.flags.writeable = False
    torch.manual_seed(0)
    expected = torch.export.load(io.BytesIO(content)).module()(torch.from_numpy(inputs.copy())).detach().numpy()

    assert np.array_equal(load(registered(content), monkeypatch).predict(inputs), expected)
