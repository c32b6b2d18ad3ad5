"""Which split a record belongs to: a function of its own id, group or time, so that new data never move an old record.

Nothing moves for the sake of another record either. Where two records may not stand in different splits, the one of lower rank is
dropped: test outranks validation, validation outranks train.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.dataset.schema import SPLITS
from headrace.errors import DataError

TRAIN, VALIDATION, TEST = range(3)
"""Split numbers, in the order of SPLITS and of rank."""
DROPPED = -1


def uniform(keys: Sequence[str], *, seed: int, purpose: str) -> np.ndarray:
    """A number in [0, 1) for each key, float64 (N,): the same on every machine, independent of the other keys.

    Args:
        keys: ids or group keys.
        seed: another seed draws other numbers.
        purpose: draws for different purposes are independent of each other.
    """
    salt = hashlib.sha256(f"{seed}\n{purpose}\n".encode())
    drawn = np.empty(len(keys), dtype=np.uint64)
    for index, key in enumerate(keys):
        digest = salt.copy()
        digest.update(key.encode())
        drawn[index] = int.from_bytes(digest.digest()[:8], "big")
    return (drawn >> np.uint64(11)).astype(np.float64) / 2.0**53


def given_splits(names: Sequence[str]) -> np.ndarray:
    """Split numbers of the records that say where they belong, int8 (N,); DROPPED where they say nothing.

    Raises:
        DataError: a word that names no split.
    """
    numbers = {"": DROPPED, **{name: number for number, name in enumerate(SPLITS)}}
    unknown = sorted({name for name in names if name not in numbers})
    if unknown:
        raise DataError(
            f"records say split '{unknown[0]}'; a source may say {', '.join(SPLITS)} or nothing. Set it in collect.sources."
        )
    return np.array([numbers[name] for name in names], dtype=np.int8)


def assign_by_key(keys: Sequence[str], given: np.ndarray, *, seed: int, test: float, validation: float) -> np.ndarray:
    """Split numbers drawn by key, int8 (N,).

    What a record says of itself holds: one given as validation or test stays there, one given as train may only be carved into
    validation. A record that says nothing is drawn into test, else into validation, else stays in train.

    Args:
        keys: the record's id, or the key of its group.
        given: as `given_splits` returns.
        seed: of the draw.
        test: share of the records that say nothing.
        validation: share of the records that are not test.
    """
    splits = np.full(len(keys), TRAIN, dtype=np.int8)
    splits[uniform(keys, seed=seed, purpose="validation") < validation] = VALIDATION
    splits[(given == DROPPED) & (uniform(keys, seed=seed, purpose="test") < test)] = TEST
    return np.where(given > TRAIN, given, splits)


def assign_by_order(given: np.ndarray, *, test: float, validation: float) -> np.ndarray:
    """Split numbers by place, int8 (N,): the last records that say nothing are test, the last of the others validation.

    What a record says of itself holds, as in `assign_by_key`.

    Args:
        given: as `given_splits` returns.
        test: share of the records that say nothing.
        validation: share of the records that are not test.
    """
    splits = np.where(given > TRAIN, given, TRAIN).astype(np.int8)
    silent = np.flatnonzero(given == DROPPED)
    splits[silent[len(silent) - round(test * len(silent)) :]] = TEST
    rest = np.flatnonzero(splits == TRAIN)
    splits[rest[len(rest) - round(validation * len(rest)) :]] = VALIDATION
    return splits


def codes(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Equal values get equal numbers, int64 (N,), in order of first appearance."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    encoded = pc.dictionary_encode(values)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return np.asarray(encoded.indices).astype(np.int64)


def group_keys(values: pa.ChunkedArray, *, column: str, pattern: str | None = None) -> list[str]:
    """Group keys as text.

    Args:
        values: what names the groups.
        column: its name, for messages.
        pattern: regular expression; the key is its first bracket, or what it matches.

    Raises:
        DataError: a missing key, a value without the pattern, or a type that names no group.
    """
    if values.null_count:
        raise DataError(
            f"column '{column}' names no group for {values.null_count} records. Let the suite quarantine them (not null)."
        )
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_integer(values.type)):
        raise DataError(
            f"column '{column}' holds {values.type}; a group is named by text or a whole number. See split.group_column."
        )
    keys: list[str] = pc.cast(values, pa.string()).to_pylist()
    if pattern is None:
        return keys
    found = [re.search(pattern, key) for key in keys]
    without = [key for key, match in zip(keys, found, strict=True) if match is None]
    if without:
        raise DataError(
            f"split.group_pattern {pattern!r} is not found in '{column}' of {len(without):,} records, such as {without[0]!r}. "
            "Mend the pattern, or let the suite quarantine them."
        )
    return [match.group(1 if match.re.groups else 0) or "" for match in found if match is not None]


class Assignment:
    """Splits of all records, and what was dropped and why.

    Args:
        splits: int8 (N,): a number of SPLITS, or DROPPED.
        cause: why those that come dropped are.
    """

    def __init__(self, splits: np.ndarray, *, cause: str = "") -> None:
        self.splits = splits.copy()
        self.dropped: dict[str, np.ndarray] = {}
        """Cause to ascending positions; a record is dropped once, for the first cause that applies."""
        if cause:
            self.dropped[cause] = np.flatnonzero(splits == DROPPED)

    def drop(self, cause: str, mask: np.ndarray) -> None:
        """Drop the records of a bool mask (N,) that are not dropped yet, one cause for each split they leave."""
        for number, name in enumerate(SPLITS):
            positions = np.flatnonzero(mask & (self.splits == number))
            if len(positions):
                self.dropped[f"{name}: {cause}"] = positions
        self.splits[mask] = DROPPED

    def members(self, number: int) -> np.ndarray:
        """Positions of the records of a split."""
        return np.flatnonzero(self.splits == number)


def contradictory(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Records whose content stands under more than one known label, bool (N,).

    Args:
        ids: codes of the ids (N,).
        labels: int64 (N,); what is below 0 is not known.
    """
    low = np.full(ids.max(initial=-1) + 1, np.iinfo(np.int64).max)
    high = np.full(len(low), -1)
    known = labels >= 0
    np.minimum.at(low, ids[known], labels[known])
    np.maximum.at(high, ids[known], labels[known])
    clash: np.ndarray = (low < high)[ids]
    return clash


def outranked(keys: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Records whose key also stands in a split of higher rank, bool (N,); dropped records outrank nobody.

    Args:
        keys: codes of ids or groups (N,).
        splits: int8 (N,).
    """
    highest = np.full(keys.max(initial=-1) + 1, DROPPED, dtype=np.int8)
    np.maximum.at(highest, keys, splits)
    lower: np.ndarray = (splits != DROPPED) & (splits < highest[keys])
    return lower


def repeated(keys: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Records that repeat the key of an earlier record that is not dropped, bool (N,)."""
    kept = np.flatnonzero(splits != DROPPED)
    _, first = np.unique(keys[kept], return_index=True)
    mask = np.zeros(len(keys), dtype=bool)
    mask[kept] = True
    mask[kept[first]] = False
    return mask


def refuse_missing_classes(splits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Records per split and class.

    Raises:
        DataError: a split without a record, or without a record of some class.
    """
    counts = {}
    for number, name in enumerate(SPLITS):
        here = labels[splits == number]
        if not len(here):
            raise DataError(
                f"split '{name}' has no record. Collect more, give it a share (split.test, split.validation), choose another "
                "split.seed where groups are few, or tell collect.sources which records belong to it."
            )
        counts[name] = {word: int((here == label).sum()) for label, word in enumerate(classes)}
    for name, found in counts.items():
        missing = [word for word, count in found.items() if not count]
        if missing:
            elsewhere = ", ".join(f"{counts[other][missing[0]]} in {other}" for other in SPLITS if other != name)
            raise DataError(
                f"'{name}' has no record of {len(missing)} of {len(classes)} classes, such as '{missing[0]}' ({elsewhere}). "
                "Collect more of them, raise the split's share, or choose another split.seed (this draws every split anew)."
            )
    return counts
