"""Records on their way into a data set: the classes they name, chunks of them, and what there is to report about them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from headrace.errors import DataError
from headrace.formats.record import RawRecord

MAX_CHUNK_ROWS = 2048
CHUNK_BYTES = 64 * 1024 * 1024
"""Memory of the records that are decoded together, as they come and as they stay."""

FIRST_ROWS = 256
"""Records that are looked at to settle what the options leave open."""

MAX_CLASSES = 100_000
MAX_EXAMPLES = 5


class FaultCount(BaseModel):
    """Records that cannot be read for one kind of reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    examples: list[str]
    """Origin and reason of the first few."""


def class_names(records: Iterable[RawRecord]) -> list[str]:
    """Classes that occur, numbers by value and before words, words by their letters.

    Raises:
        DataError: there are so many that the label column cannot be one of classes.
    """
    seen: set[str] = set()
    for record in records:
        if record.label is not None and record.label not in seen:
            seen.add(record.label)
            if len(seen) > MAX_CLASSES:
                raise DataError(f"more than {MAX_CLASSES} different labels: is the right column named in collect.options.label?")
    return sorted(seen, key=lambda name: (not _is_number(name), int(name) if _is_number(name) else 0, name))


def _is_number(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdigit()


def in_chunks(records: Iterable[RawRecord], info: Mapping[str, Any]) -> Iterator[list[RawRecord]]:
    """Lists of at most MAX_CHUNK_ROWS records and about CHUNK_BYTES, also once they are decoded; never an empty one.

    Args:
        records: what a format reads.
        info: what dataset.json says of one record; its shape, if any, tells the decoded size.
    """
    decoded_bytes = math.prod(info.get("shape") or [1])
    max_rows = max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // decoded_bytes))
    chunk: list[RawRecord] = []
    num_bytes = 0
    for record in records:
        chunk.append(record)
        num_bytes += _size(record.payload)
        if len(chunk) >= max_rows or num_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


def _size(payload: Any) -> int:
    if isinstance(payload, bytes | str):
        return len(payload)
    return payload.nbytes if isinstance(payload, np.ndarray) else 64


class Tally:
    """What a report says of the rows that went by."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._names: Mapping[int, str] = {-1: "", **dict(enumerate(classes))}
        self._by_label: dict[int, int] = dict.fromkeys(range(len(classes)), 0)
        self._by_split: dict[str, int] = {}
        self._faults: dict[str, tuple[int, list[str]]] = {}
        self._ids: list[np.ndarray] = []
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Count the rows of a chunk."""
        self.rows += rows.num_rows
        _count(self._by_label, rows.column("label"))
        _count(self._by_split, rows.column("split"))
        # Eight bytes of each id are enough to count repeats: one false repeat is expected beyond four billion records.
        self._ids.append(np.array([int(text[:16], 16) for text in rows.column("id").to_pylist()], dtype=np.uint64))
        for fault, origin in zip(rows.column("fault").to_pylist(), rows.column("origin").to_pylist(), strict=True):
            if fault:
                count, examples = self._faults.get(kind := fault.partition(":")[0], (0, []))
                if count < MAX_EXAMPLES:
                    examples.append(f"{origin}: {fault}")
                self._faults[kind] = (count + 1, examples)

    @property
    def by_class(self) -> dict[str, int]:
        """Rows per class name, 0 for a class that does not occur; '' without a known label."""
        return {self._names[label]: count for label, count in sorted(self._by_label.items())}

    @property
    def by_split(self) -> dict[str, int]:
        """Rows per split as given; '' where none was."""
        return dict(sorted(self._by_split.items()))

    @property
    def duplicates(self) -> int:
        """Rows whose content came before; `split` leaves them out."""
        return self.rows - len(np.unique(np.concatenate(self._ids))) if self._ids else 0

    @property
    def faults(self) -> dict[str, FaultCount]:
        """Unreadable records by kind."""
        return {kind: FaultCount(count=count, examples=examples) for kind, (count, examples) in sorted(self._faults.items())}


def _count(counts: dict[Any, int], column: pa.ChunkedArray) -> None:
    for entry in column.value_counts().to_pylist():
        counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
