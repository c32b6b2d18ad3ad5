"""Keep a few labelled records of each class for training and validation, as in a project that has just begun; test stays whole.

Run by the DAG: python -m headrace.stages synthetic_digits.scarce --splits data/splits --out data/scarce
"""

import heapq
import shutil
from pathlib import Path

import pyarrow as pa
from headrace.augmentation.seeds import digest
from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables, read_table, writer_like
from headrace.params import Out, Report, Section
from pydantic import Field


class Params(Section):
    """`scarce` in params.yaml."""

    per_class: int = Field(ge=1)
    """Records of each class that train, and as many that validate."""
    seed: int
    """Which ones."""


class ScarceReport(Report):
    """reports/scarce.json."""

    headline: str
    train: dict[str, int]
    """Records of each class."""
    validation: dict[str, int]
    test: int


def run(params: Params, *, splits: Path, out: Out) -> ScarceReport:
    """Draw by id and seed, so that a larger number keeps the records of a smaller one."""
    kept = {}
    for split in ("train", "validation"):
        chosen = _drawn(splits / split, params)
        with writer_like(out / split, splits / split) as writer:
            for table in iter_tables(splits / split):
                writer.write(table.filter(pa.array([record_id in chosen for record_id in table["id"].to_pylist()], pa.bool_())))
        kept[split] = read_info(out / split)
    shutil.copytree(splits / "test", out / "test")
    train, validation, test = kept["train"], kept["validation"], read_info(out / "test")
    return ScarceReport(
        headline=f"{train.rows:,} records train, {validation.rows:,} validate, {test.rows:,} test",
        train=train.by_class,
        validation=validation.by_class,
        test=test.rows,
    )


def _drawn(folder: Path, params: Params) -> set[str]:
    table = read_table(folder, ["id", "label"])
    by_label: dict[int, list[str]] = {}
    for record_id, label in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True):
        by_label.setdefault(label, []).append(record_id)
    return {
        record_id
        for ids in by_label.values()
        for record_id in heapq.nsmallest(params.per_class, ids, key=lambda found: digest(params.seed, found))
    }
