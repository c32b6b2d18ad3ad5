"""Extra training samples at rest: augmented copies of the records of the training split.

Every copy has a random generator of its own, seeded by (seed, record id, copy number), and is made alone: order, batches and
workers cannot change it. A copy keeps label, source and measured columns of its original.
"""

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from headrace.augmentation.policy import Policy, PolicyConfig, build_policy
from headrace.dataset.schema import DatasetInfo, read_info
from headrace.dataset.shards import iter_tables, writer_like
from headrace.errors import DataError
from headrace.fingerprint import value_sha256
from headrace.listening import Progress

REVISION = 1
"""Raised when the same policy and seed begin to give other pixels, so that the copies get other ids."""

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


def is_picture(info: DatasetInfo) -> bool:
    """Whether the records are uint8 arrays (H, W, C), which the policy knows how to change."""
    return info.record.get("dtype") == "uint8" and len(info.record.get("shape", ())) == 3


def picture_policy(info: DatasetInfo, config: PolicyConfig) -> Policy:
    """The policy for the data set's pictures.

    Raises:
        DataError: the records are no pictures.
        ParamsError: a transform does not fit them.
    """
    if not is_picture(info):
        raise DataError(
            f"augment.policy changes pictures, and the records of task {info.task} are {info.record}. "
            "Set augment.copies and augment.balance_to to 0 and leave the policy out."
        )
    height, width, channels = info.record["shape"]
    return build_policy(config, (channels, height, width), where="augment.policy")


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
        chosen += heapq.nsmallest(rest, ids, key=lambda record_id: _digest(seed, record_id))
    return CopyPlan(by_class, frozenset(chosen))


def _ids_of(train: Path, label: int) -> Iterator[str]:
    for table in iter_tables(train, ["id", "label"]):
        for record_id, found in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True):
            if found == label:
                yield record_id


def _digest(*parts: object) -> str:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def augment_picture(pixels: np.ndarray, policy: Policy, *, seed: int, record_id: str, copy: int) -> np.ndarray:
    """Copy number `copy` (from 1) of one picture, uint8 (H, W, C); the same for the same arguments, whatever was made before."""
    generator = torch.Generator().manual_seed(int(_digest(seed, record_id, copy)[:8], 16))
    record_index = torch.tensor([int(_digest(record_id)[:8], 16)])
    x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    changed = policy(x, record_index, copy, generator)[0].permute(1, 2, 0)
    return (changed * 255).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()


def write_copies(
    train: Path,
    out: Path,
    config: PolicyConfig,
    plan: CopyPlan,
    *,
    seed: int,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Write the copies as a data set of their own; without any it has no rows.

    Args:
        train: the training split; any other is refused.
        out: folder to write.
        config: the transforms.
        plan: copies of each record.
        seed: of the transforms.
        progress: counts the originals read.

    Returns:
        dataset.json of the copies.

    Raises:
        DataError: not the training split, or its records are no pictures.
        ParamsError: a transform does not fit the pictures.
    """
    info = training_info(train)
    with writer_like(out, train) as writer:
        if any(plan.by_class.values()) or plan.once_more:
            policy = picture_policy(info, config)
            for table in iter_tables(train):
                for rows in _copies_of(table, str(info.record["payload"]), policy, config, plan, seed):
                    writer.write(rows)
                if progress:
                    progress.advance(table.num_rows)
    return read_info(out)


def _copies_of(
    table: pa.Table, payload: str, policy: Policy, config: PolicyConfig, plan: CopyPlan, seed: int
) -> Iterator[pa.Table]:
    """The copies of a table's records, in the order of the originals, at most COPY_ROWS at a time."""
    ids, labels = table["id"].to_pylist(), table["label"].to_pylist()
    todo = [(row, copy) for row, key in enumerate(ids) for copy in range(1, plan.of(key, labels[row]) + 1)]
    made_by = policy_digest(config, seed)
    pixels = table[payload].combine_chunks()
    pixels = (pixels.chunk(0) if isinstance(pixels, pa.ChunkedArray) else pixels).to_numpy_ndarray()
    for start in range(0, len(todo), COPY_ROWS):
        part = todo[start : start + COPY_ROWS]
        changed = np.stack([augment_picture(pixels[row], policy, seed=seed, record_id=ids[row], copy=copy) for row, copy in part])
        new: dict[str, Any] = {
            "id": pa.array([_digest(ids[row], copy, made_by)[:32] for row, copy in part]),
            "origin": pa.array([f"{ids[row]} copy {copy}" for row, copy in part]),
            "split": pa.array(["train"] * len(part)),
            payload: pa.FixedShapeTensorArray.from_numpy_ndarray(changed),
        }
        rows = table.take(pa.array([row for row, _ in part]))
        for name, values in new.items():
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
        yield rows


def policy_digest(config: PolicyConfig, seed: int) -> str:
    """What made a copy, hex: part of its id, so that copies made otherwise are other records."""
    return value_sha256({"policy": config.model_dump(mode="json"), "seed": seed, "revision": REVISION})
