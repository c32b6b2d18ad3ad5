"""environment.json as a DVC params file: what a new version of a package reruns."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.project import environment

DAG = """stages:
  train:
    cmd: echo model > model
    params:
      - environment.json: [headrace.train, ruamel-yaml, torch]
    outs: [model]
  fit:
    cmd: echo trees > trees
    params:
      - environment.json: ["trainers.${train.trainer}"]
    outs: [trees]
"""
LOCK = "headrace==0.1.0\nruamel.yaml==0.19.1\nruff==0.17.6\nscikit-learn==1.9.1\nsafetensors==0.8.0\ntorch==2.13.0\n"
GROUPS = {"trainers.trees": ["scikit-learn"], "trainers.network": ["safetensors"]}


@pytest.fixture
def status(tmp_path: Path) -> Callable[..., str]:
    """Write environment.json from a changed lock and ask DVC what would rerun."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}

    def dvc(*arguments: str) -> str:
        return subprocess.run(["dvc", *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True).stdout

    def ask(before: str = "", after: str = "") -> str:
        (tmp_path / "requirements.lock").write_text(LOCK.replace(before, after) if before else LOCK)
        environment.write(tmp_path, GROUPS)
        return dvc("status")

    (tmp_path / "dvc.yaml").write_text(DAG)
    (tmp_path / "params.yaml").write_text("train: {trainer: trees}\n")
    dvc("init", "--no-scm", "-q")
    ask()
    dvc("repro", "-q")
    return ask


def test_a_new_torch_reruns_train(status):
    assert "torch" in status("torch==2.13.0", "torch==2.14.0")


def test_a_new_linter_reruns_nothing(status):
    assert "up to date" in status("ruff==0.17.6", "ruff==0.18.0")


def test_the_cpu_and_the_cuda_build_are_one_key(status):
    assert "up to date" in status("torch==2.13.0", "torch==2.13.0+cu130")


def test_an_upgrade_of_headrace_reruns_only_what_changed(status, monkeypatch):
    """In a user's project: the result revision of a stage, not the version of the package."""
    assert "up to date" in status("headrace==0.1.0", "headrace==0.2.0")

    monkeypatch.setitem(environment.RESULT_REVISIONS, "split", 2)
    assert "up to date" in status()

    monkeypatch.setitem(environment.RESULT_REVISIONS, "train", 2)
    assert "headrace.train" in status()


def test_a_package_of_another_trainer_reruns_nothing(status):
    """The key is filled in from params.yaml: who fits trees does not wait for a network's packages, nor the other way round."""
    assert "up to date" in status("safetensors==0.8.0", "safetensors==0.9.0")
    assert "trainers.trees" in status("scikit-learn==1.9.1", "scikit-learn==1.9.2")
