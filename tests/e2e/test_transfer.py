"""A model of five digits, promoted, is where a model of the other five starts from; and it stays that one until somebody looks again."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.projects import Checkout, clone

from headrace.fingerprint import file_sha256
from headrace.sources.bundled import bundled_file, locate
from headrace.sources.snapshot import LockedInitial, read_lock
from headrace.sources.store import Store

CLASSES = {"low": ["0", "1", "2", "3", "4"], "high": ["5", "6", "7", "8", "9"]}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str) -> Callable[..., Checkout]:
    """A clone that trains for an epoch or two on half of the digits; all share one registry."""
    top = tmp_path_factory.mktemp("transfer")
    lines = gzip.decompress(locate(bundled_file("digits"), Store(top)).read_bytes()).decode().splitlines()
    for name, classes in CLASSES.items():
        kept = [line for line in lines if str(int(float(line.rpartition(",")[2]))) in classes]
        (top / f"{name}.csv").write_text("\n".join(kept) + "\n")

    def make(name: str, **train: Any) -> Checkout:
        made = clone(origin, top / name, top / "home", PREFECT_API_URL=prefect_server)
        source = {"kind": "files", "name": "digits", "paths": [f"../{name}.csv"]}
        made.set_param("collect", sources=[source], classes=CLASSES[name])
        made.set_param("augment", copies=0)
        made.set_param("train", network_options={"width": 8, "stem_kernel": 3, "stem_stride": 1}, epochs=2, **train)
        made.set_param("baseline", models=["majority"])
        made.set_param("evaluate", thresholds={"min_accuracy": 0.1})
        made.set_param("register", model=name)
        made.set_param("promote", max_regression=1.0)
        return made

    return make


@pytest.fixture(scope="module")
def low(checkout: Callable[..., Checkout]) -> Checkout:
    """Its model is champion."""
    made = checkout("low")
    made.headrace("sources", "refresh")
    made.headrace("run", "--quiet")
    return made


def pinned(checkout: Checkout) -> LockedInitial:
    found = read_lock(checkout.folder / "data" / "sources.lock").initial
    assert found is not None
    return found


def taken_over(checkout: Checkout) -> dict[str, Any]:
    return dict(json.loads((checkout.folder / "reports" / "train.json").read_text())["initial"])


@pytest.mark.slow
def test_a_champion_is_pinned_as_a_version_and_stays_it_when_another_is_promoted(
    low: Checkout, checkout: Callable[..., Checkout]
) -> None:
    """The stage is a function of its inputs; only a refresh looks into the registry."""
    high = checkout("high", init_from="models:/low@champion", backbone={"frozen_epochs": 1, "lr_factor": 0.5})
    high.headrace("sources", "refresh")
    first = pinned(high)
    high.run("dvc", "repro", "-q", "train")
    weights = file_sha256(high.folder / "models" / "initial" / "model.safetensors")

    assert (first.version, first.package) == ("1", file_sha256(low.folder / "models" / "package" / "manifest.json"))
    assert weights == file_sha256(low.folder / "models" / "candidate" / "model.safetensors") == first.files[0].sha256
    assert taken_over(high)["package"] == first.package
    assert (taken_over(high)["version"], taken_over(high)["fresh"]) == ("1", ["6"])

    low.set_param("train", seed=18)
    low.headrace("run", "--quiet")
    made = high.lock()["train"]["outs"]

    assert "up to date" in high.run("dvc", "repro", "train").stdout
    assert "train.init_from" in high.headrace("sources", "refresh").stdout
    assert pinned(high).version == "2"

    high.run("dvc", "repro", "-q", "train")

    assert taken_over(high)["version"] == "2"
    assert high.lock()["train"]["outs"] != made
