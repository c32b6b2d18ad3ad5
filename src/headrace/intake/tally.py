"""What there is to report about a data set that is being collected: its rows, and the sources they came from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.fingerprint import value_sha256
from headrace.params import Report

MAX_EXAMPLES = 5


class FaultCount(Report):
    """Records that cannot be read for one kind of reason."""

    count: int
    examples: list[str]
    """Origin and reason of the first few."""


class Tally:
    """What a report says of the rows that went by.

    Args:
        classes: class names in the order of their labels.
        personal: columns that count personal data, by kind.
    """

    def __init__(self, classes: Sequence[str], personal: Mapping[str, str]) -> None:
        self._names: Mapping[int, str] = {-1: "", **dict(enumerate(classes))}
        self._by_label: dict[int, int] = dict.fromkeys(range(len(classes)), 0)
        self._by_split: dict[str, int] = {}
        self._faults: dict[str, tuple[int, list[str]]] = {}
        self._ids: list[np.ndarray] = []
        self.rows = 0
        self._personal = personal
        self.personal = dict.fromkeys(personal, 0)
        """Personal data of each kind that the intake found."""

    def add(self, rows: pa.Table) -> None:
        """Count the rows of a chunk."""
        self.rows += rows.num_rows
        _count(self._by_label, rows.column("label"))
        _count(self._by_split, rows.column("split"))
        for kind, name in self._personal.items():
            self.personal[kind] += pc.sum(rows.column(name)).as_py() or 0
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


class SourceSummary(Report):
    """One source as it was read."""

    name: str
    kind: str
    files: int
    bytes: int
    sha256: str
    """Of its only file, or of the list of names and digests."""


def summarize(name: str, kind: str, files: Sequence[tuple[str, int, str]]) -> SourceSummary:
    """Count the files of a source: name, bytes and sha256 of each, in the order in which they were read."""
    digests = [(file, sha256) for file, _, sha256 in files]
    whole = digests[0][1] if len(digests) == 1 else value_sha256(digests)
    return SourceSummary(name=name, kind=kind, files=len(files), bytes=sum(size for _, size, _ in files), sha256=whole)
