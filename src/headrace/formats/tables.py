"""What csv, jsonl and parquet share: which columns of a row are the payload, the label and the split."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from headrace.errors import FormatError
from headrace.formats.opening import broken
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section, did_you_mean

_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
_MAX_CELL = 64 * 1024 * 1024


class ColumnOptions(Section):
    """Meaning of the columns."""

    payload: str | list[str] | None = None
    """Column of the payload; a list or null (all other columns) makes the payload a mapping of columns."""
    payload_as: Literal["text", "bytes", "base64", "pixels", "path"] = "text"
    """How one payload column is read: pixels is a list of numbers, path a file of the same source relative to the table."""
    label: str | None = "label"
    """Column of the class; null when there is none."""
    names: dict[str, str] = Field(default_factory=dict)
    """What classes are called, where the column has another sign for them, such as {"1": negative, "5": positive}."""
    split: str | None = None
    """Column with train, validation or test; null when there is none."""
    keep: list[str] = Field(default_factory=list)
    """Columns that go with the records as text, such as a time or the group to split by: for validation and `split`, never for a model."""
    invalid_bytes: Literal["refuse", "quarantine"] = "refuse"
    """What bytes that are not text in `encoding` make: refuse, a file that cannot be read; quarantine, faulty records."""
    max_cell_bytes: int = Field(default=_MAX_CELL, gt=0, le=1 << 30)
    """A record with a larger payload is faulty."""

    @model_validator(mode="after")
    def _columns_have_one_meaning(self) -> Self:
        payload = [self.payload] if isinstance(self.payload, str) else self.payload or []
        for name in (self.label, self.split, *self.keep):
            if name is not None and name in payload:
                raise ValueError(f"column {name!r} is payload and label, split or kept at once")
        return self


def tables_among(files: Sequence[SourceFile], endings: Sequence[str], options: ColumnOptions) -> list[SourceFile]:
    """The tables: every file, or, where tables name other files of their source, those with such an ending.

    Raises:
        FormatError: there is none.
    """
    tables = [file for file in files if options.payload_as != "path" or file.name.lower().endswith(tuple(endings))]
    if not tables:
        raise FormatError(f"none of {len(files)} files is a table ({', '.join(endings)}).")
    return tables


class RowReader:
    """Turns the rows of one table into records.

    Args:
        file: the table.
        columns: its column names.
        options: what they mean.
        files: all files of the data set, for payloads that are paths.

    Raises:
        FormatError: a column name stands twice or is empty, or a column the options name is not there.
    """

    def __init__(self, file: SourceFile, columns: Sequence[str], options: ColumnOptions, files: Iterable[SourceFile]) -> None:
        self._file, self._options = file, options
        _check_names(file, columns)
        meant = [options.payload] if isinstance(options.payload, str) else options.payload or []
        for name in [*meant, *options.keep, *filter(None, (options.label, options.split))]:
            if name not in columns:
                raise FormatError(f"{file} has no column '{name}'.{did_you_mean(name, columns)} Correct collect.options.")
        aside = {options.label, options.split, *options.keep}
        self._features = list(meant) or [name for name in columns if name not in aside]
        self._beside = (
            {other.name: other for other in files if other.source == file.source} if options.payload_as == "path" else {}
        )

    def record(self, row: Mapping[str, Any], position: str) -> RawRecord:
        """One record; whatever is wrong with it is its `fault`."""
        options, file = self._options, self._file
        label = _text(row[options.label]) if options.label is not None else None
        if label == "":
            return self.fault(position, "label: empty", row)
        if label is not None:
            label = options.names.get(label, label)
        split = file.split
        if options.split is not None and not split:
            given = _text(row[options.split]).lower()
            if given not in _SPLITS:
                return self.fault(position, f"split: {given[:50]!r} is none of {', '.join(_SPLITS)}", row)
            split = _SPLITS[given]
        try:
            payload, content = self._payload(row)
        except ValueError as reason:
            return self.fault(position, str(reason), row)
        beside = {name: _kept(row[name]) for name in options.keep} or None
        return RawRecord(payload, label, split, file.source, f"{file.name}:{position}", content=content, beside=beside)

    def fault(self, position: str, reason: str, row: object = None) -> RawRecord:
        """A record that cannot be read."""
        return broken(self._file, position, reason[:200], content=_canonical(row) if row is not None else None)

    def _payload(self, row: Mapping[str, Any]) -> tuple[Any, bytes | None]:
        if not isinstance(self._options.payload, str):
            chosen = {name: row[name] for name in self._features}
            return chosen, _canonical(chosen)
        value = row[self._options.payload]
        if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
            value = value["bytes"]  # how Hugging Face stores pictures: {"bytes": ..., "path": ...}
        match self._options.payload_as:
            case "text":
                if not isinstance(value, str):
                    raise ValueError(f"payload: a {type(value).__name__} is no text")  # noqa: TRY004 - the record is faulty, not the program
                payload: Any = value
                content = value.encode("utf-8", "surrogatepass")
            case "bytes":
                if not isinstance(value, bytes):
                    raise ValueError(f"payload: a {type(value).__name__} is no bytes")  # noqa: TRY004
                payload = content = value
            case "base64":
                payload = content = _decode_base64(value)
            case "pixels":
                payload = _pixels(value)
                content = _canonical(payload)
            case "path":
                payload = content = self._read_beside(value)
        if len(content) > self._options.max_cell_bytes:
            raise ValueError(f"payload: more than {self._options.max_cell_bytes} bytes")
        return payload, content

    def _read_beside(self, value: object) -> bytes:
        """The file a row names; only files of the source can be named, so that sources.lock has pinned their bytes."""
        name = (PurePosixPath(self._file.name).parent / str(value)).as_posix()
        found = self._beside.get(name)
        if found is None:
            raise ValueError(f"path: the source has no file {name[:150]!r}")
        if found.path.stat().st_size > self._options.max_cell_bytes:
            raise ValueError(f"payload: more than {self._options.max_cell_bytes} bytes")
        return found.path.read_bytes()


def _check_names(file: SourceFile, columns: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(columns):
        if not name.strip():
            raise FormatError(f"{file}: column {index} has no name; it is often a row number. Name it or remove it.")
        if name in seen:
            raise FormatError(f"{file} has two columns named '{name}'. Rename or remove one.")
        seen.add(name)


def _text(value: object) -> str:
    """A label or split as text: 3.0, as tables with blanks store it, is '3'."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _kept(value: object) -> str | None:
    """A value that goes with a record, as text; a time in ISO 8601; None where there is none."""
    return (value.isoformat() if isinstance(value, date) else _text(value)) or None


def _decode_base64(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"base64: {error}") from None


def _pixels(value: object) -> list[int]:
    if isinstance(value, str):
        value = value.split()  # '0 12 255 ...', as some csv files hold pictures
    if not isinstance(value, list) or not value:
        raise ValueError("pixels: not a list of numbers")
    try:
        numbers = [int(entry) for entry in value]
    except (TypeError, ValueError):
        raise ValueError("pixels: not a list of whole numbers") from None
    if min(numbers) < 0 or max(numbers) > 255:
        raise ValueError("pixels: a value is outside 0 to 255")
    return numbers


def _canonical(value: object) -> bytes:
    """Bytes that are equal for equal values; the digest of a record is of these."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr).encode("ascii")
