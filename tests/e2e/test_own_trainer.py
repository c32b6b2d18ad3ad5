"""examples/own-trainer: a scikit-learn model in a project of its own gets everything that follows training."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from tests.projects import REPOSITORY, Checkout, make_example

EXAMPLE = REPOSITORY / "examples" / "own-trainer"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Checkout:
    """The example as a repository of its own, with the package installed."""
    checkout = make_example(EXAMPLE.name, tmp_path_factory.mktemp(EXAMPLE.name), PREFECT_API_URL=prefect_server)
    checkout.headrace("setup")
    return checkout


def test_a_run_ends_with_a_champion(project: Checkout) -> None:
    """Evaluate, gate, package, register, promote and report read only what the trainer wrote."""
    states = project.states()
    verdict = json.loads((project.folder / "reports/evaluate.json").read_text())["verdict"]
    packaged = json.loads((project.folder / "reports/package.json").read_text())

    assert set(states.values()) == {"ran"}
    assert {"evaluate", "package", "record", "register", "promote", "report"} <= states.keys()
    assert verdict["allowed"] is True
    assert packaged["largest_difference"] <= 1e-5
    assert "digits-kernel-machine version 1" in project.headrace("trace", "digits-kernel-machine@champion").stdout
    assert "kernel" in (project.folder / "reports/report.html").read_text()
    assert project.headrace("run").stdout.startswith("up to date")


def test_the_network_computes_what_scikit_learn_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged and packaged must be the model that was fitted."""
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    import torch
    from own_trainer.model import fit  # type: ignore[import-not-found]
    from own_trainer.network import build, convert  # type: ignore[import-not-found]

    drawn = np.random.default_rng(17)
    pixels = drawn.random((200, 12), np.float32)
    labels = drawn.integers(0, 3, 200)
    fitted = fit(pixels, labels, gamma=0.5, components=50, c=10.0, seed=17)
    network = convert(fitted, build({"components": 50, "gamma": 0.5}, input_shape=(2, 3, 2), num_classes=3))
    images = torch.from_numpy(pixels).reshape(-1, 2, 3, 2).permute(0, 3, 1, 2)

    np.testing.assert_allclose(
        torch.softmax(network(images), 1).detach().numpy(), fitted.predict_proba(pixels), atol=1e-4, rtol=0
    )


def test_the_glue_is_short() -> None:
    """The page on own trainers promises 30 statements, docstrings apart."""
    tree = ast.parse((EXAMPLE / "src/own_trainer/train.py").read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    docstrings = [node for node in statements if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]

    assert len(statements) - len(docstrings) <= 30


def test_the_example_uses_no_private_name() -> None:
    """It is written against what a user may import."""
    for path in Path(EXAMPLE / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not [part for part in (node.module or "").split(".") if part.startswith("_")]
                assert not [alias.name for alias in node.names if alias.name.startswith("_")]
