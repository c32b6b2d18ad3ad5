"""Put every record into train, validation or test, so that nothing leaks and new data never move an old record.

Run by the DAG: python -m headrace.stages split --validated data/validated --splits data/splits --report reports/split.json
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from headrace.dataset.duplicates import NearDuplicates, find_near_duplicates
from headrace.dataset.schema import SPLITS, DatasetInfo, read_info
from headrace.dataset.shards import read_schema, read_table
from headrace.dataset.split_folders import check_no_leak, write_splits
from headrace.dataset.splits import (
    DROPPED,
    TEST,
    TRAIN,
    Assignment,
    assign_by_key,
    codes,
    contradictory,
    given_splits,
    group_keys,
    outranked,
    refuse_missing_classes,
    repeated,
)
from headrace.dataset.time_split import TimeConfig, assign_by_time, to_instants
from headrace.errors import DataError, ParamsError
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report, Section, did_you_mean
from headrace.plugins import resolve

MAX_EXAMPLES = 5

Share = Annotated[float, Field(ge=0, lt=1)]


class Params(Section):
    """How records are divided."""

    by: Literal["hash", "group", "time"] = "hash"
    """hash: each record by its id; group: records that share group_column stay together; time: by cutoffs."""
    test: Share = 0.2
    """Share of the records that do not say which split they belong to; a given test split stays as it is."""
    validation: Share = 0.1
    """Share of the records outside test; 0 where validation is given."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Another seed draws every split anew."""
    given: Literal["respect", "ignore"] = "respect"
    """What becomes of the split that a source gives."""
    group_column: str | None = None
    time: TimeConfig | None = None
    near_duplicate_tolerance: Annotated[float, Field(ge=0)] | None = None
    """How far two records may differ and still be one, in the task's measure (images: mean absolute difference of the pixels as a
    share of white). null: only exact copies are looked for."""

    @model_validator(mode="after")
    def _settings_are_used(self) -> Self:
        for by, key, value in (("group", "group_column", self.group_column), ("time", "time", self.time)):
            if (self.by == by) != (value is not None):
                raise ValueError(f"{key} belongs to by: {by}, found by: {self.by} and {key}: {'set' if value else 'not set'}")
        return self


class DropReport(Report):
    """Records left out for one cause."""

    rows: int
    example_ids: list[str]


class SplitReport(Report):
    """What stands where, and what was left out."""

    headline: str
    """For the terminal."""
    by: str
    seed: int
    rows_in: int
    rows: dict[str, int]
    given: dict[str, int]
    """Records whose source said where they belong."""
    classes: dict[str, dict[str, int]]
    """Records per split and class."""
    dropped: dict[str, DropReport]
    """By split and cause."""
    contradictory_ids: int
    """Contents that stand under more than one label."""
    contradictory_examples: list[str]
    near_duplicate_tolerance: float | None
    compared: int
    """Records that share a perceptual key with another split and were compared on their content."""
    near_duplicate_pairs: int
    """Records left out because one in a split of higher rank is the same within the tolerance."""
    near_duplicate_examples: list[list[str]]
    """Id left out, id it is near to."""
    notes: list[str]
    """Settings that had no effect on these data."""


def run(params: Params, *, validated: Path, splits: Out, progress: Progress | None = None) -> SplitReport:
    """Assign, drop what would leak, check, write the three splits, and check what was written."""
    progress = progress or SilentProgress()
    info = read_info(validated)
    if not info.rows:
        raise DataError(f"{validated} has no record to split. Look into data/quarantine and reports/validate.json.")
    table = read_table(validated, _columns(params, read_schema(validated)))
    ids, labels, said = codes(table["id"]), np.asarray(table["label"]), given_splits(table["split"].to_pylist())
    given = said if params.given == "respect" else np.full_like(said, DROPPED)
    notes = _without_effect(params, given)
    for note in notes:
        progress.say(note)
    assignment = _assign(params, table, given)
    if info.classes:
        assignment.drop("label unknown", (labels < 0) | (labels >= len(info.classes)))
    clash = contradictory(ids, labels)
    assignment.drop("same content under another label", clash & (given != TEST))
    assignment.drop("repeats a record of a split that ranks higher", outranked(ids, assignment.splits))
    if params.group_column:
        groups = codes(table[params.group_column])
        assignment.drop("its group stands in a split that ranks higher", outranked(groups, assignment.splits))
    assignment.drop("repeats an earlier record", repeated(ids, assignment.splits))
    near = _near(params, validated, info, assignment, progress)
    assignment.drop("nearly repeats a record of a split that ranks higher", near.partner >= 0)

    counts = refuse_missing_classes(assignment.splits, labels, info.classes)
    write_splits(validated, splits, assignment.splits, progress=progress)
    check_no_leak(splits, ["id", *([params.group_column] if params.group_column else [])])

    def names(positions: np.ndarray) -> list[str]:
        return [table["id"][int(position)].as_py() for position in positions[:MAX_EXAMPLES]]

    clashing = table["id"].filter(pa.array(clash)).unique().to_pylist()
    pairs = np.flatnonzero(near.partner >= 0)
    sizes = {name: len(assignment.members(number)) for number, name in enumerate(SPLITS)}
    return SplitReport(
        headline=", ".join(f"{size:,} {name}" for name, size in sizes.items()),
        by=params.by,
        seed=params.seed,
        rows_in=info.rows,
        rows=sizes,
        given={name: int((said == number).sum()) for number, name in enumerate(SPLITS)},
        classes=counts,
        dropped={
            cause: DropReport(rows=len(positions), example_ids=names(positions))
            for cause, positions in assignment.dropped.items()
        },
        contradictory_ids=len(clashing),
        contradictory_examples=clashing[:MAX_EXAMPLES],
        near_duplicate_tolerance=params.near_duplicate_tolerance,
        compared=near.compared,
        near_duplicate_pairs=len(pairs),
        near_duplicate_examples=[list(pair) for pair in zip(names(pairs), names(near.partner[pairs]), strict=True)],
        notes=notes,
    )


def _columns(params: Params, schema: pa.Schema) -> list[str]:
    extra = [params.group_column] if params.group_column else [params.time.column] if params.time else []
    for column in extra:
        if column not in schema.names:
            raise ParamsError(
                f"split.{params.by} names column '{column}', which the data lack.{did_you_mean(column, schema.names)}"
            )
    return ["id", "label", "split", *extra]


def _without_effect(params: Params, given: np.ndarray) -> list[str]:
    # A setting that is ignored is announced.
    if params.time:
        return ["split.test and split.validation have no effect: by: time divides at the cutoffs"]
    if params.test and (given != DROPPED).all():
        return ["split.test has no effect: every record comes with a split"]
    return []


def _assign(params: Params, table: pa.Table, given: np.ndarray) -> Assignment:
    if params.time:
        if (given > TRAIN).any():
            raise DataError("records come with a test or validation split, which by: time would break. Set split.given: ignore.")
        times = to_instants(table[params.time.column], column=params.time.column)
        return Assignment(assign_by_time(times, params.time), cause="inside the embargo before a cutoff")
    keys = group_keys(table[params.group_column], column=params.group_column) if params.group_column else table["id"].to_pylist()
    return Assignment(assign_by_key(keys, given, seed=params.seed, test=params.test, validation=params.validation))


def _near(params: Params, data: Path, info: DatasetInfo, assignment: Assignment, progress: Progress) -> NearDuplicates:
    tolerance = params.near_duplicate_tolerance
    if tolerance is None:
        return NearDuplicates(partner=np.full(info.rows, -1, dtype=np.int64), compared=0)
    task = resolve("tasks", info.task, None, where="collect.task")
    return find_near_duplicates(data, assignment.splits, task, tolerance=tolerance, progress=progress)
