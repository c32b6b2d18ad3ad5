"""Recipe `parcels`: a hash split would have leaked what nobody knows beforehand."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from benchmarks.parcels import HEAD, parcels

from headrace.baselines.tabular import Config, make
from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.params import parse_section, read_yaml
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.stages import collect, split
from headrace.tasks import tabular

PROJECT = Path(__file__).parents[2]
PARAMS = read_yaml(PROJECT / "recipes/parcels.yaml")


def test_the_rows_are_those_of_the_generator():
    """What is committed can be made again, on any machine."""
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows([HEAD, *parcels()])

    assert (PROJECT / "recipes/parcels.csv").read_text(encoding="utf-8") == made.getvalue()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of the recipe."""
    folder = tmp_path_factory.mktemp("parcels")
    params = parse_section(PARAMS["collect"], "collect", collect.Params, where="the recipe")
    places = Places(project=PROJECT, downloads=folder / "downloads")
    refresh(params.sources, folder / "sources.lock", places)
    collect.run(params, sources=folder / "sources.lock", out=folder / "raw", places=places)
    return folder / "raw"


def accuracy(raw: Path, splits: Path, way: dict[str, object]) -> float:
    """Of trees on the test split."""
    section = {key: value for key, value in PARAMS["split"].items() if key not in ("by", "time")}
    split.run(parse_section({**section, **way}, "split", split.Params, where="here"), validated=raw, splits=splits)
    record = read_info(raw).record
    tables = [read_table(splits / part) for part in ("train", "test")]
    (x, y), (test, truth) = ((tabular.features(table, record), np.asarray(table["label"])) for table in tables)
    model = make("boosted_trees", Config(boosting_rounds=150, boosting_leaves=31), seed=1).fit(x, y)
    return float((model.predict(test) == truth).mean())


def test_a_hash_split_promises_what_the_future_does_not_keep(tmp_path, raw):
    """Parcels of a fortnight tell the backlog of each other; behind the cutoff nobody knows the next one."""
    by_time = accuracy(raw, tmp_path / "time", {"by": "time", "time": PARAMS["split"]["time"]})
    by_hash = accuracy(raw, tmp_path / "hash", {"by": "hash"})

    assert 0.55 < by_time < by_hash - 0.05
