"""What a format reader yields: one record as it arrived, before the task looks at it."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.params import Section


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that a source brought, verified against data/sources.lock."""

    name: str
    """Logical name, the same on every machine: the URL's file name or the path below the source's folder."""
    path: Path
    """Where its bytes are on this machine."""
    source: str
    """Name of the source in params.yaml."""
    split: str = ""
    """The split its records belong to when the source says so: 'train', 'validation', 'test' or ''."""

    def __str__(self) -> str:
        """How messages name it."""
        return f"{self.name} of source '{self.source}'"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of a file."""

    payload: Any
    """bytes of an encoded image, uint8 array (H, W, C), text, or a mapping of columns: the format says which."""
    label: str | None
    """Class name as the format spells it; None when the record has none."""
    split: str
    source: str
    origin: str
    """File and position, such as 'train.zip:train/cat/0001.jpg' or 'digits.csv.gz:row 17'."""
    content: bytes | None = None
    """The bytes the record's id is the digest of, when they are not the payload's own."""
    beside: Mapping[str, str | None] | None = None
    """What goes with the record into columns of its own, such as the group or the time it is split by."""
    fault: str = ""
    """Why the payload cannot be read; such a record is quarantined by `validate`, never dropped in silence."""

    def make_id(self, payload: bytes | None = None) -> str:
        """Digest of the bytes as they came, `payload` where the format gives none apart from it: an exact copy has the same id."""
        content = payload if self.content is None else self.content
        # Nothing of the payload is left: two such records are the same only if they stand in the same place.
        return digest(f"{self.source}\n{self.origin}".encode() if content is None else content)

    def label_fault(self, classes: Collection[str]) -> str:
        """Why the label cannot be used; '' when it can, or there is none."""
        return "" if self.label is None or self.label in classes else f"unknown class: {self.label!r}"[:200]


def digest(content: bytes) -> str:
    """The id of a record with this content."""
    return hashlib.sha256(content).hexdigest()[:32]


class Format(Protocol):
    """A module of this room: options and a reader.

    One of tables also has `columns(files, options)`, as formats/csv.py: source to column to kind, which `validate` compares with
    the accepted data.
    """

    Options: type[Section]

    def read(self, files: Sequence[SourceFile], options: Any) -> Iterator[RawRecord]:
        """Yield the records of the files in a stable order.

        Raises:
            FormatError: the file as a whole cannot be read; names file, position and reason.
        """
