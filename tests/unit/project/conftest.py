"""Small projects written into a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.project import environment

LOCK = "numpy==2.4.6 \\\n    --hash=sha256:00\npydantic==2.14.3\nruamel-yaml==0.19.1\nscikit-learn==1.9.1\ntorch==2.13.0\n"
IGNORE = "__pycache__\n*.swp\n.DS_Store\n.ipynb_checkpoints\n"

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files, given by path and text, into one project folder."""

    def write_files(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_files


@pytest.fixture
def reference(write: Write) -> Path:
    """A project that holds a `headrace` of its own, with honest deps: stage `fit` takes a network by name."""
    project = write(
        {
            "src/headrace/__init__.py": "",
            "src/headrace/params.py": "import pydantic\nfrom headrace.errors import Bad\n",
            "src/headrace/errors.py": "class Bad(Exception): ...\n",
            "src/headrace/plugins.py": (
                "import importlib\nfrom headrace.errors import Bad\n\ndef resolve(*a, **k):\n    importlib.import_module(a[0])\n"
            ),
            "src/headrace/settings.py": "import boto3\n",
            "src/headrace/networks/dense.py": "import torch\n",
            "src/headrace/networks/deep.py": "import torch\nfrom headrace.networks import layers\n",
            "src/headrace/networks/layers.py": "import numpy\n",
            "src/headrace/training/loop.py": (
                "from headrace.plugins import resolve\n\n"
                "def fit(params):\n    return resolve('networks', params.network, 'build', where='fit.network')\n"
            ),
            "src/headrace/stages/fit.py": "from headrace.params import Bad\nfrom headrace.training.loop import fit\n",
            "params.yaml": "fit:\n  network: dense\n",
            "requirements.lock": LOCK,
            ".dvcignore": IGNORE,
            "dvc.yaml": """# the DAG
stages:
  fit:
    cmd: python -m headrace.stages fit --data data/in --out models/m --report reports/fit.json
    deps:
      - data/in
      - src/headrace/errors.py
      # the one network in use
      - src/headrace/networks/${fit.network}.py
      - src/headrace/params.py
      - src/headrace/plugins.py
      - src/headrace/stages/fit.py
      - src/headrace/training/loop.py  # the story
    params: [fit, environment.json: [torch]]
    outs: [models/m]
    metrics: [reports/fit.json]
""",
        }
    )
    environment.write(project)
    return project
