"""Divide a data set: every record gets a split, and what would leak, teach twice or contradict itself is dropped and counted."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from headrace.dataset.duplicates import MAX_ALIKE, Comparable, NearDuplicates, find_near_duplicates
from headrace.dataset.schema import SPLITS, read_info
from headrace.dataset.shards import read_schema, read_table
from headrace.dataset.splits import (
    DROPPED,
    TEST,
    TRAIN,
    Assignment,
    assign_by_key,
    assign_by_order,
    codes,
    contradictory,
    given_splits,
    group_keys,
    outranked,
    refuse_missing_classes,
    repeated,
    uniform,
)
from headrace.dataset.time_split import TimeConfig, assign_by_time, to_instants
from headrace.errors import DataError, ParamsError
from headrace.listening import Progress
from headrace.params import Section, did_you_mean

MAX_EXAMPLES = 5

Share = Annotated[float, Field(ge=0, lt=1)]


class DivisionConfig(Section):
    """How records are divided."""

    by: Literal["hash", "group", "time", "order"] = "hash"
    """hash: each record by its id; group: records that share group_column stay together; time: by cutoffs; order: the last records in
    the order of the data, for text that runs on."""
    test: Share = 0.2
    """Share of the records that do not say which split they belong to; a given test split stays as it is."""
    validation: Share = 0.1
    """Share of the records outside test; 0 where validation is given."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Another seed draws every split anew."""
    given: Literal["respect", "ignore"] = "respect"
    """What becomes of the split that a source gives."""
    source_weights: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Share of a source's training records that train, drawn by id; validation and test keep theirs. A source not named here has 1."""
    group_column: str | None = None
    """by: group: the column that names the group, such as one of collect.options.keep, `source` or `origin` (file and position)."""
    group_pattern: str | None = None
    """Regular expression, when the group is a part of the column: its first bracket, or what it matches; 'patient-(\\d+)' of `origin`."""
    time: TimeConfig | None = None
    near_duplicate_tolerance: Annotated[float, Field(ge=0)] | None = None
    """How far two records may differ and still be one, in the task's measure (images: mean absolute difference of the pixels as a
    share of white; texts: share of the runs of three words that only one of them has). null: only exact copies are looked for."""

    @model_validator(mode="after")
    def _settings_are_used(self) -> Self:
        for by, key, value in (("group", "group_column", self.group_column), ("time", "time", self.time)):
            if (self.by == by) != (value is not None):
                raise ValueError(f"{key} belongs to by: {by}, found by: {self.by} and {key}: {'set' if value else 'not set'}")
        if self.group_pattern is not None and self.group_column is None:
            raise ValueError("group_pattern belongs to group_column, which is not set")
        return self

    @field_validator("group_pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return pattern

    def groups(self, table: pa.Table) -> list[str]:
        """Key of each record's group. Raises DataError where a record has none."""
        column = str(self.group_column)
        return group_keys(table[column], column=column, pattern=self.group_pattern)


@dataclass(frozen=True)
class Division:
    """Where every record of a data set belongs, and why some belong nowhere."""

    ids: pa.ChunkedArray
    assignment: Assignment
    given: dict[str, int]
    """Records whose source said where they belong, per split."""
    classes: dict[str, dict[str, int]]
    """Records per split and class."""
    clashing: list[str]
    """Ids of contents that stand under more than one label."""
    near: NearDuplicates
    notes: list[str]
    """Settings that had no effect on these data, and what was not looked at as closely as the rest."""

    @property
    def sizes(self) -> dict[str, int]:
        """Records per split."""
        return {name: len(self.assignment.members(number)) for number, name in enumerate(SPLITS)}

    @property
    def near_pairs(self) -> list[list[str]]:
        """Ids of the first records left out, each with the id it is near to."""
        pairs = np.flatnonzero(self.near.partner >= 0)
        return [list(pair) for pair in zip(self.examples(pairs), self.examples(self.near.partner[pairs]), strict=True)]

    def examples(self, positions: np.ndarray) -> list[str]:
        """Ids of the first few records at these positions."""
        return [self.ids[int(position)].as_py() for position in positions[:MAX_EXAMPLES]]


def divide(data: Path, config: DivisionConfig, task: Comparable, progress: Progress) -> Division:
    """Assign every record of a data set to a split, and drop what may not stay beside it; the task says what is nearly the same.

    Raises:
        ParamsError: the config names a column the data lack.
        DataError: no record, a class without a record in a split, or groups, times or given splits that cannot be used.
    """
    info = read_info(data)
    if not info.rows:
        raise DataError(f"{data} has no record to split. Look into data/quarantine and reports/validate.json.")
    table = read_table(data, _columns(config, read_schema(data)))
    ids, labels, said = codes(table["id"]), np.asarray(table["label"]), given_splits(table["split"].to_pylist())
    given = said if config.given == "respect" else np.full_like(said, DROPPED)
    notes = _without_effect(config, given)
    for note in notes:
        progress.say(note)

    groups = config.groups(table) if config.group_column else None
    assignment = _assign(config, table, given, groups)
    if info.classes:
        assignment.drop("label unknown", (labels < 0) | (labels >= len(info.classes)))
    clash = contradictory(ids, labels)
    assignment.drop("same content under another label", clash & (given != TEST))
    assignment.drop("repeats a record of a split that ranks higher", outranked(ids, assignment.splits))
    if groups is not None:
        assignment.drop("its group stands in a split that ranks higher", outranked(codes(pa.array(groups)), assignment.splits))
    assignment.drop("repeats an earlier record", repeated(ids, assignment.splits))
    near = NearDuplicates(partner=np.full(info.rows, -1, dtype=np.int64), compared=0)
    if config.near_duplicate_tolerance is not None:
        near = find_near_duplicates(data, assignment.splits, task, tolerance=config.near_duplicate_tolerance, progress=progress)
    assignment.drop("nearly repeats a record of a split that ranks higher", near.partner >= 0)

    if config.source_weights:
        assignment.drop(
            "beyond the weight of its source", _too_many(config, table["source"], table["id"]) & (assignment.splits == TRAIN)
        )

    if near.crowded:
        notes.append(
            f"{near.crowded:,} records share a key with so many that each was compared with the {MAX_ALIKE} most alike only"
        )
        progress.say(notes[-1])
    return Division(
        ids=table["id"],
        assignment=assignment,
        given={name: int((said == number).sum()) for number, name in enumerate(SPLITS)},
        classes=refuse_missing_classes(assignment.splits, labels, info.classes),
        clashing=table["id"].filter(pa.array(clash)).unique().to_pylist(),
        near=near,
        notes=notes,
    )


def _columns(config: DivisionConfig, schema: pa.Schema) -> list[str]:
    extra = [config.group_column] if config.group_column else [config.time.column] if config.time else []
    for column in extra:
        if column not in schema.names:
            raise ParamsError(
                f"split.{config.by} names column '{column}', which the data lack.{did_you_mean(column, schema.names)}"
            )
    return ["id", "label", "split", *(["source"] if config.source_weights else []), *extra]


def _without_effect(config: DivisionConfig, given: np.ndarray) -> list[str]:
    # A setting that is ignored is announced.
    if config.time:
        return ["split.test and split.validation have no effect: by: time divides at the cutoffs"]
    if config.test and (given != DROPPED).all():
        return ["split.test has no effect: every record comes with a split"]
    return []


def _too_many(config: DivisionConfig, sources: pa.ChunkedArray, ids: pa.ChunkedArray) -> np.ndarray:
    """Records that the weight of their source leaves out of train, bool (N,): the same ones whatever else is in the data."""
    names = sources.to_pylist()
    for name in config.source_weights:
        if name not in names:
            raise ParamsError(f"split.source_weights names source '{name}', which no record has.{did_you_mean(name, set(names))}")
    weights = np.array([config.source_weights.get(name, 1.0) for name in names])
    left_out: np.ndarray = uniform(ids.to_pylist(), seed=config.seed, purpose="weight of source") >= weights
    return left_out


def _assign(config: DivisionConfig, table: pa.Table, given: np.ndarray, groups: list[str] | None) -> Assignment:
    if config.time:
        if (given > TRAIN).any():
            raise DataError("records come with a test or validation split, which by: time would break. Set split.given: ignore.")
        times = to_instants(table[config.time.column], column=config.time.column, without_zone=config.time.without_zone)
        return Assignment(assign_by_time(times, config.time), cause="inside the embargo before a cutoff")
    if config.by == "order":
        return Assignment(assign_by_order(given, test=config.test, validation=config.validation))
    keys = groups or table["id"].to_pylist()
    return Assignment(assign_by_key(keys, given, seed=config.seed, test=config.test, validation=config.validation))
