"""Test accuracy of a recipe over seeds, with what it cost.

    headrace recipe use mnist && headrace run --stage augment       the splits must be there
    python benchmarks/quality.py --seeds 5
    python benchmarks/quality.py --seeds 5 epochs=3 network_options.width=16

Run in a project's folder: trains with the `train` section of params.yaml, `key=value` changes one of its values. Seeds are 1, 2, ...;
the split stays the same. CPU and wall seconds are those of the whole stage: load, train, predict and write.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from headrace.listening import SilentProgress, SilentTracker
from headrace.params import parse_section, read_yaml
from headrace.stages.train import Params, run


def changed(section: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """The section with `key=value` and `key.inner=value` applied."""
    for change in changes:
        key, _, text = change.partition("=")
        *path, last = key.split(".")
        place = section
        for part in path:
            place = place.setdefault(part, {})
        place[last] = YAML(typ="safe").load(text)
    return section


def accuracy(predictions: Path) -> tuple[float, float]:
    """Accuracy on the test split, and the expected calibration error over 15 bins."""
    table = pq.read_table(predictions, filters=[("split", "=", "test")])
    probabilities = np.array(table["probabilities"].to_pylist())
    right = probabilities.argmax(axis=1) == np.array(table["label"].to_pylist())
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(right.mean()), float(sum(gaps))


def measure(params: Params, data: Path, device: str) -> tuple[float, float, float, float]:
    """Train once; test accuracy, calibration error, CPU and wall seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        cpu, wall = cpu_seconds(), time.perf_counter()
        run(
            params,
            splits=data / "splits",
            augmented=data / "augmented",
            model=out / "model",
            predictions=out / "predictions.parquet",
            plots=out / "plots",
            fingerprint="benchmark",
            scratch=out / "scratch",
            device=device,
            progress=SilentProgress(),
            tracker=SilentTracker(),
        )
        cost = cpu_seconds() - cpu, time.perf_counter() - wall
        return *accuracy(out / "predictions.parquet"), *cost


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a row for each seed and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", help="key=value in the section `train`")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with splits/ and augmented/")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    section = changed(read_yaml(arguments.params)["train"], arguments.changes)
    print(f"{'seed':6}{'accuracy':>10}{'ECE':>8}{'CPU s':>9}{'wall s':>9}")
    rows = []
    for seed in range(1, arguments.seeds + 1):
        params = parse_section(section | {"seed": seed}, "train", Params, where=str(arguments.params))
        rows.append(measure(params, arguments.data, arguments.device))
        print(f"{seed:<6}{rows[-1][0]:10.4f}{rows[-1][1]:8.4f}{rows[-1][2]:9.1f}{rows[-1][3]:9.1f}", flush=True)
    mean, error, cpu, wall = (statistics.mean(column) for column in zip(*rows, strict=True))
    spread = statistics.stdev(row[0] for row in rows) if len(rows) > 1 else 0.0
    print(f"{'mean':6}{mean:10.4f}{error:8.4f}{cpu:9.1f}{wall:9.1f}   standard deviation of the accuracy {spread:.4f}")


if __name__ == "__main__":
    main()
