"""A candidate as its stages make it, and the answers of its package where none of us is installed."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.listening import SilentProgress, SilentTracker
from headrace.params import Report, parse_section
from headrace.registry.packages import lay_out, read_package
from headrace.stages import package as package_stage
from headrace.stages import train as train_stage

ROW_NETWORK = {
    "network": "embedding_mlp",
    "network_options": {"hidden": [32], "dropout": 0.0},
    "encoding": {"min_count": 5},
    "batch_size": 32,
    "optimizer": {"name": "adamw", "peak_lr": 0.02, "weight_decay": 0.01},
    "channels_last": False,
    "threads": 1,
}
"""Section `train` for some hundred rows of a table, without epochs."""
ROWS = {"train": 400, "validation": 100, "test": 1000}
"""Rows of each split of a table."""


def write_splits(project: Path, write: Callable[[Path, Any], Any], rows: Callable[..., Any], **given: Any) -> None:
    """Splits of a table: `rows(count, seed=)` makes those that are not given."""
    for number, (name, count) in enumerate(ROWS.items()):
        write(project / "splits" / name, given.get(name, rows(count, seed=number)))
    write(project / "augmented", [])


def train(
    settings: Mapping[str, Any],
    project: Path,
    out: Path | None = None,
    *,
    tracker: SilentTracker | None = None,
    progress: SilentProgress | None = None,
    initial: Path | None = None,
) -> Report:
    """Stage `train` on the project's splits; what it makes goes to `out`, by default beside them, checkpoints always there."""
    out = out or project
    return train_stage.run(
        parse_section(settings, "train", train_stage.Params, where="params.yaml"),
        splits=project / "splits",
        augmented=project / "augmented",
        model=out / "candidate",
        predictions=out / "predictions.parquet",
        plots=out / "plots",
        initial=initial,
        fingerprint="f00d",
        scratch=project / "scratch",
        device="cpu",
        progress=progress or SilentProgress(),
        tracker=tracker or SilentTracker(),
    )


def package(project: Path, *, score: str = "accuracy", **params: Any) -> package_stage.PackageReport:
    """Stage `package` on the project's candidate, as if `evaluate` had allowed it."""
    (project / "evaluate.json").write_text(json.dumps({"fingerprint": "f00d", "score": score, "metrics": {}}))
    return package_stage.run(
        package_stage.Params(**params),
        model=project / "candidate",
        evaluation=project / "evaluate.json",
        examples=project / "splits" / "validation",
        card=project / "no_card.md",
        out=project / "package",
    )


def answers_elsewhere(project: Path, inputs: Any, *, without: tuple[str, ...] = ("headrace", "pyarrow")) -> np.ndarray:
    """What MLflow's loader answers in a process that cannot import the modules in `without`."""
    registered = project / "registered"
    if not registered.exists():
        lay_out(read_package(project / "package"), [], registered, model_id="m-1")
    script = (
        "import sys, json\n"
        f"for name in {without!r}: sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(registered / 'code')!r})\n"
        "import headrace_package_5 as loader\n"
        f"model = loader._load_pyfunc({str(registered / 'package')!r})\n"
        "print(json.dumps(model.predict(json.load(sys.stdin)).tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        input=json.dumps(list(inputs)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout), dtype=np.float32)
