"""Extra training samples at rest: augmented copies of the records of the training split.

Every copy has a random generator of its own, seeded by (seed, record id, copy number), and is made alone: order, batches and
workers cannot change it. A copy keeps label, source and measured columns of its original.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from headrace.augmentation.contract import Augmentation, MakeCopies
from headrace.augmentation.seeds import digest
from headrace.dataset.schema import DatasetInfo, read_info
from headrace.dataset.shards import iter_tables, writer_like
from headrace.errors import DataError
from headrace.fingerprint import value_sha256
from headrace.listening import Progress
from headrace.params import Section

REVISION = 1
"""Raised when the same policy and seed begin to give other copies, so that the copies get other ids."""

COPY_ROWS = 1024
"""Copies made before they are handed to the writer."""


@dataclass(frozen=True)
class CopyPlan:
    """How many copies each record gets."""

    by_class: dict[int, int]
    """Copies of every record of a class, by label."""
    once_more: frozenset[str] = field(default_factory=frozenset)
    """Ids that get one copy more, where the class's share does not divide evenly."""

    def of(self, record_id: str, label: int) -> int:
        """Copies of one record."""
        return self.by_class.get(label, 0) + (record_id in self.once_more)


def training_info(train: Path) -> DatasetInfo:
    """dataset.json of the training split.

    Raises:
        DataError: the folder is another split, or holds records of one: augmented test records would flatter every number.
    """
    info = read_info(train)
    foreign = sorted(set(info.by_split) & {"validation", "test"})
    if train.name != "train" or foreign:
        found = f"{train} holds records of {' and '.join(foreign)}" if foreign else f"{train} is not a folder named 'train'"
        raise DataError(f"only the training split is augmented, but {found}. Give splits/train as the stage `split` wrote it.")
    return info


def plan_copies(train: Path, *, copies: int, balance_to: float, max_copies: int, seed: int) -> CopyPlan:
    """Decide how many copies each record gets.

    Args:
        train: the training split.
        copies: copies of every record that has a label.
        balance_to: classes get copies until they have this share of the largest class's samples; 0 for no balance.
        max_copies: limit for one record: a hundred copies of one picture teach that picture.
        seed: chooses which records get one more, where a share does not divide evenly.
    """
    info = training_info(train)
    rows = {label: info.by_class.get(name, 0) for label, name in enumerate(info.classes)}
    wanted = round(balance_to * max(rows.values(), default=0) * (1 + copies))
    by_class, remainders = {}, {}
    for label, count in rows.items():
        extra = max(0, min(wanted, count * (1 + max_copies)) - count * (1 + copies))
        each, rest = divmod(extra, count) if count else (0, 0)
        by_class[label] = copies + each
        if rest:
            remainders[label] = rest
    chosen: list[str] = []
    for label, rest in remainders.items():
        ids = _ids_of(train, label)
        chosen += heapq.nsmallest(rest, ids, key=lambda record_id: digest(seed, record_id))
    return CopyPlan(by_class, frozenset(chosen))


def _ids_of(train: Path, label: int) -> Iterator[str]:
    for table in iter_tables(train, ["id", "label"]):
        for record_id, found in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True):
            if found == label:
                yield record_id


def write_copies(
    train: Path,
    out: Path,
    part: Augmentation | None,
    policy: Section | None,
    plan: CopyPlan,
    *,
    seed: int,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Write the copies as a data set of their own; without any it has no rows.

    Args:
        train: the training split; any other is refused.
        out: folder to write.
        part: what changes records of this kind; None where the plan makes no copy.
        policy: the transforms, as `part.Policy` types them.
        plan: copies of each record.
        seed: of the transforms.
        progress: counts the originals read.

    Returns:
        dataset.json of the copies.

    Raises:
        DataError: not the training split.
        ParamsError: a transform does not fit the records.
    """
    info = training_info(train)
    with writer_like(out, train) as writer:
        if part is not None and policy is not None and (any(plan.by_class.values()) or plan.once_more):
            make, made_by = part.copier(policy, info.record, seed=seed), policy_digest(policy, seed)
            for table in iter_tables(train):
                for rows in _copies_of(table, make, plan, made_by):
                    writer.write(rows)
                if progress:
                    progress.advance(table.num_rows)
    return read_info(out)


def _copies_of(table: pa.Table, make: MakeCopies, plan: CopyPlan, made_by: str) -> Iterator[pa.Table]:
    """The copies of a table's records, in the order of the originals, at most COPY_ROWS at a time."""
    ids, labels = table["id"].to_pylist(), table["label"].to_pylist()
    todo = [(row, copy) for row, key in enumerate(ids) for copy in range(1, plan.of(key, labels[row]) + 1)]
    for start in range(0, len(todo), COPY_ROWS):
        part = todo[start : start + COPY_ROWS]
        new = {
            "id": pa.array([digest(ids[row], copy, made_by)[:32] for row, copy in part]),
            "origin": pa.array([f"{ids[row]} copy {copy}" for row, copy in part]),
            "split": pa.array(["train"] * len(part)),
            **make(table, part),
        }
        rows = table.take(pa.array([row for row, _ in part]))
        for name, values in new.items():
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
        yield rows


def policy_digest(policy: Section, seed: int) -> str:
    """What made a copy, hex: part of its id, so that copies made otherwise are other records."""
    values = policy.model_dump(mode="json")
    for later in ("own", "synonyms"):  # keys that came later: copies made before them keep their ids
        if values.get(later) is None:
            values.pop(later, None)
    return value_sha256({"policy": values, "seed": seed, "revision": REVISION})
