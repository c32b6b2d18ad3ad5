"""Near duplicates across splits: found by a key, confirmed on the content.

A perceptual hash alone is no proof (2,221 of the 10,000 MNIST test images share a 64-bit hash with a training image), so records
that share a key are only candidates. Only their payload is read, a bounded block at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.dataset.splits import DROPPED, TEST, TRAIN, VALIDATION
from headrace.listening import Progress

BLOCK_BYTES = 256 * 1024 * 1024
"""Payload of candidates held at once."""

PAIR_BYTES = 32 * 1024 * 1024
"""Payload compared at once; small enough to stay near the cache."""

FEW_PAIRS = 250_000
"""A key with fewer pairs to compare is compared pair by pair."""

MAX_ALIKE = 64
"""Records of one key that a record is compared with at most, once their profiles have spoken for too many."""

_ROUNDING = 1e-5


class Comparable(Protocol):
    """The part of a task that tells near duplicates (headrace/tasks/contract.py says what each does)."""

    def inputs(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload as one array (N, ...)."""

    def near_duplicate_keys(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Equal for records that may be near, uint64 (N,) or (N, B): one of B keys in common is enough."""

    def near_duplicate_profile(self, inputs: np.ndarray) -> np.ndarray:
        """Short vectors that differ by no more than the records do, float32 (N, P)."""

    def are_near_duplicates(self, left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether the pairs are near, bool (N,)."""


@dataclass(frozen=True)
class NearDuplicates:
    """What stands near a record of higher rank."""

    partner: np.ndarray
    """int64 (N,): position of the first test record (else validation record that stays) this one is near to; -1 for none."""
    compared: int
    """Records whose content was compared."""
    crowded: int = 0
    """Of these, how many were compared with the MAX_ALIKE most alike by profile only, because more of their key came into question."""


def candidates(keys: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Positions of the records whose key stands in more than one split, sorted by key; dropped records do not count."""
    live = np.flatnonzero(splits != DROPPED)
    _, group = np.unique(keys[live], return_inverse=True)
    low = np.full(group.max(initial=-1) + 1, TEST, dtype=np.int8)
    high = np.full(len(low), TRAIN, dtype=np.int8)
    np.minimum.at(low, group, splits[live])
    np.maximum.at(high, group, splits[live])
    mixed = live[(low < high)[group]]
    return mixed[np.argsort(keys[mixed], kind="stable")]


def find_near_duplicates(
    data: Path, splits: np.ndarray, task: Comparable, *, tolerance: float, progress: Progress
) -> NearDuplicates:
    """Compare records that share a key: train and validation with test, then train with what is left of validation.

    Args:
        data: the data set.
        splits: int8 (N,); dropped records are not compared.
        task: gives keys, payload and the judgement on pairs.
        tolerance: handed to the task's judgement.
        progress: told of every row read.
    """
    payload = _Payload(data, task)
    progress.start("near-duplicate keys", len(splits), unit="records")
    found = []
    for table in payload.tables():
        found.append(task.near_duplicate_keys(table, payload.record))
        progress.advance(table.num_rows)
    progress.finish()

    partner = np.full(len(splits), -1, dtype=np.int64)
    compared = np.zeros(len(splits), dtype=bool)
    crowded = 0
    for keys in np.concatenate(found).reshape(len(splits), -1).T:
        # A record that one key has left out is compared no further, and is nobody's partner.
        mixed = candidates(keys, np.where(partner < 0, splits, DROPPED))
        compared[mixed] = True
        progress.start("candidates compared", len(mixed), unit="records")
        for block in _blocks(mixed, keys, payload.item_bytes()):
            content = payload.gather(block)
            for start, stop in _runs(keys[block]):
                members = block[start:stop]
                near, left_out = _near_in_group(content[start:stop], splits[members], task, tolerance)
                partner[members[near >= 0]] = members[near[near >= 0]]
                crowded += left_out
            progress.advance(len(block))
        progress.finish()
    return NearDuplicates(partner, compared=int(compared.sum()), crowded=crowded)


def _near_in_group(content: np.ndarray, splits: np.ndarray, task: Comparable, tolerance: float) -> tuple[np.ndarray, int]:
    """Partners of the records of one key, -1 for none, and how many were not compared with all that came into question."""
    near, crowded = _near(content, splits != TEST, splits == TEST, task, tolerance)
    stays = (splits == VALIDATION) & (near < 0)
    second, more = _near(content, (splits == TRAIN) & (near < 0), stays, task, tolerance)
    return np.where(near < 0, second, near), crowded + more


def _near(content: np.ndarray, left: np.ndarray, right: np.ndarray, task: Comparable, tolerance: float) -> tuple[np.ndarray, int]:
    """For each record of mask `left` the first of mask `right` it is near to, int64, -1 for none; others are -1."""
    partner = np.full(len(content), -1, dtype=np.int64)
    waiting, others = np.flatnonzero(left), np.flatnonzero(right)
    pairs = max(1, PAIR_BYTES // max(1, content[:1].nbytes))
    while len(waiting) and len(others):
        width = max(1, pairs // len(waiting))  # a small group takes one call
        now, others = others[:width], others[width:]
        for at in range(0, len(waiting), pairs):
            some = waiting[at : at + pairs]
            rows, columns = np.repeat(some, len(now)), np.tile(now, len(some))
            same = task.are_near_duplicates(content[rows], content[columns], tolerance).reshape(len(some), len(now))
            hit = same.any(axis=1)
            partner[some[hit]] = now[same[hit].argmax(axis=1)]
        waiting = waiting[partner[waiting] < 0]  # one confirmed is compared no further
        if len(waiting) * len(others) > FEW_PAIRS:
            return partner, _near_in_crowd(content, waiting, others, partner, task, tolerance)
    return partner, 0


def _near_in_crowd(
    content: np.ndarray, waiting: np.ndarray, others: np.ndarray, partner: np.ndarray, task: Comparable, tolerance: float
) -> int:
    """The same where a key tells little, such as that of nearly white pictures: pairs are compared whose profiles allow it.

    Finds the first near record as well, unless profiles allow more than MAX_ALIKE: then the first of the most alike ones.

    Args:
        content: inputs of one key.
        waiting: positions of records to find a partner for.
        others: positions of possible partners, ascending.
        partner: written.
        task: as above.
        tolerance: as above.

    Returns:
        How many records were compared with the most alike ones only and have no partner.
    """
    profiles, targets = task.near_duplicate_profile(content[waiting]), task.near_duplicate_profile(content[others])
    rows_at_once = max(1, PAIR_BYTES // (4 * len(others)))
    crowded = 0
    for start in range(0, len(waiting), rows_at_once):
        some = waiting[start : start + rows_at_once]
        gap = np.zeros((len(some), len(others)), dtype=np.float32)
        for left, right in zip(profiles[start : start + rows_at_once].T, targets.T, strict=True):
            gap += np.abs(left[:, None] - right[None])
        allowed = gap <= tolerance + _ROUNDING
        full = allowed.sum(axis=1) > MAX_ALIKE
        if full.any():
            most_alike = np.argpartition(gap[full], MAX_ALIKE, axis=1)[:, :MAX_ALIKE]
            allowed[full] = False
            allowed[np.flatnonzero(full)[:, None], most_alike] = True
        rows, columns = np.nonzero(allowed)  # row by row, columns ascending: the first hit of a row is the first in order
        pairs = max(1, PAIR_BYTES // max(1, content[:1].nbytes))
        for at in range(0, len(rows), pairs):
            r, c = rows[at : at + pairs], columns[at : at + pairs]
            hit = task.are_near_duplicates(content[some[r]], content[others[c]], tolerance)
            found, first = np.unique(r[hit], return_index=True)
            new = partner[some[found]] < 0  # a row may have begun in the stretch before
            partner[some[found[new]]] = others[c[hit][first[new]]]
        crowded += int((full & (partner[some] < 0)).sum())
    return crowded


def _runs(sorted_keys: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of each stretch of equal keys."""
    edges = np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1
    stops = [*edges.tolist(), len(sorted_keys)] if len(sorted_keys) else []
    return list(zip([0, *edges.tolist()], stops, strict=False))


def _blocks(mixed: np.ndarray, keys: np.ndarray, item_bytes: int) -> Iterator[np.ndarray]:
    """Candidates, whole keys at a time, about BLOCK_BYTES of payload each (one key alone may have more)."""
    begin = end = 0
    for start, stop in _runs(keys[mixed]):
        if end > begin and (stop - begin) * item_bytes > BLOCK_BYTES:
            yield mixed[begin:end]
            begin = start
        end = stop
    if end > begin:
        yield mixed[begin:end]


class _Payload:
    """The payload of a data set, read a row group at a time."""

    def __init__(self, data: Path, task: Comparable) -> None:
        self.data, self.task = data, task
        self.record = read_info(data).record
        self.columns = [str(self.record["payload"])] if "payload" in self.record else None

    def tables(self) -> Iterator[pa.Table]:
        return iter_tables(self.data, self.columns)

    def item_bytes(self) -> int:
        return int(self.task.inputs(next(self.tables()).slice(0, 1), self.record).nbytes)

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """Inputs of the records at `positions`, in that order."""
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        gathered: np.ndarray | None = None
        offset = 0
        for table in self.tables():
            low, high = np.searchsorted(ascending, [offset, offset + table.num_rows])
            if high > low:
                some = self.task.inputs(table.take(pa.array(ascending[low:high] - offset)), self.record)
                if gathered is None:
                    gathered = np.empty((len(positions), *some.shape[1:]), dtype=some.dtype)
                gathered[order[low:high]] = some
            offset += table.num_rows
        return np.empty(0) if gathered is None else gathered
