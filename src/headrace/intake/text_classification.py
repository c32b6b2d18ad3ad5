"""Texts on their way in: measured, and kept as they are in a string column `text`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from headrace.formats.record import RawRecord, digest
from headrace.intake.language import LanguageConfig, language_of
from headrace.intake.personal import PersonalConfig, treat
from headrace.params import Section

_MEASURED = pa.schema(
    [
        ("characters", pa.int64()),
        ("words", pa.int64()),
        ("lines", pa.int64()),
        ("letters", pa.float32()),
        ("replaced", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
"""letters: share of the characters that are no space and are letters of any script; replaced: signs that stand for lost bytes."""

_REPLACEMENT = "\ufffd"


class RecordOptions(Section):
    """What one text may be."""

    max_characters: int = Field(default=1_000_000, gt=0)
    """A longer text is a faulty record, and is not kept."""
    personal: PersonalConfig = PersonalConfig()
    """E-mail addresses, card and phone numbers in the texts."""
    language: LanguageConfig = LanguageConfig()
    """A measured column of the language."""


class _Row(NamedTuple):
    text: str
    fault: str
    num_bytes: int
    personal: list[int]
    """Counts for the columns of PersonalConfig."""
    is_masked: bool = False


def settle(options: RecordOptions, raws: Sequence[RawRecord]) -> RecordOptions:  # noqa: ARG001  # the contract's arguments
    """Nothing is left open; a language that cannot be told is refused before anything is read."""
    if options.language.measure:
        language_of("", options.language)
    return options


def record_schema(options: RecordOptions) -> pa.Schema:
    """id, text, label, split, source, origin, fault and the measured columns."""
    strings = [(name, pa.string()) for name in ("split", "source", "origin", "fault")]
    personal = [(name, pa.int64()) for name in options.personal.columns.values()]
    language = [("language", pa.string())] if options.language.measure else []
    return pa.schema(
        [("id", pa.string()), ("text", pa.string()), ("label", pa.int64()), *strings, *_MEASURED, *personal, *language]
    )


def record_info(options: RecordOptions) -> dict[str, Any]:  # noqa: ARG001  # the contract's argument
    """Payload column and type, for dataset.json; one text has no shape."""
    return {"payload": "text", "shape": [], "dtype": "string"}


def make_rows(raws: Sequence[RawRecord], classes: Mapping[str, int], options: RecordOptions) -> pa.Table:
    """Measure; a text that cannot be read is a row with `fault` set and no text."""
    rows = [_read(raw, options) for raw in raws]
    faults = [row.fault or raw.label_fault(classes) for raw, row in zip(raws, rows, strict=True)]
    columns = [
        pa.array([_record_id(raw, row) for raw, row in zip(raws, rows, strict=True)], pa.string()),
        pa.array([row.text for row in rows], pa.string()),
        pa.array([-1 if raw.label is None else classes.get(raw.label, -1) for raw in raws], pa.int64()),
        pa.array([raw.split for raw in raws], pa.string()),
        pa.array([raw.source for raw in raws], pa.string()),
        pa.array([raw.origin for raw in raws], pa.string()),
        pa.array(faults, pa.string()),
        pa.array([len(row.text) for row in rows], pa.int64()),
        pa.array([len(row.text.split()) for row in rows], pa.int64()),
        pa.array([len(row.text.splitlines()) for row in rows], pa.int64()),
        pa.array([_letters(row.text) for row in rows], pa.float32()),
        pa.array([row.text.count(_REPLACEMENT) for row in rows], pa.int64()),
        pa.array([row.num_bytes for row in rows], pa.int64()),
        *(pa.array([row.personal[at] for row in rows], pa.int64()) for at in range(len(options.personal.columns))),
    ]
    if options.language.measure:
        columns.append(pa.array([language_of(row.text, options.language) if row.text else "" for row in rows], pa.string()))
    return pa.Table.from_arrays(columns, schema=record_schema(options))


def _record_id(raw: RawRecord, row: _Row) -> str:
    """Of the masked text where there is one: a digest of what was masked can be guessed back."""
    if row.is_masked:
        return digest(row.text.encode())
    if isinstance(raw.payload, str):
        return raw.make_id(raw.payload.encode("utf-8", "surrogatepass"))
    return raw.make_id(raw.payload if isinstance(raw.payload, bytes) else None)


def _read(raw: RawRecord, options: RecordOptions) -> _Row:
    size = len(raw.content) if raw.content is not None else len(raw.payload) if isinstance(raw.payload, str | bytes) else 0
    nothing = [0] * len(options.personal.columns)
    if raw.fault:
        return _Row("", raw.fault, size, nothing)
    text = raw.payload
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return _Row("", f"encoding: byte {error.start} is not utf-8", size, nothing)
    if fault := _text_fault(text, options):
        return _Row("", fault, size, nothing)
    treated, counts = treat(text, options.personal, where=f"{raw.origin} of source '{raw.source}'")
    return _Row(treated, "", size, counts, treated != text)


def _text_fault(text: object, options: RecordOptions) -> str:
    if not isinstance(text, str):
        return f"not a text: the format gave a {type(text).__name__}; set the payload in collect.options"
    if len(text) > options.max_characters:
        return f"too long: {len(text)} characters, more than {options.max_characters}"
    if "\0" in text:
        return "NUL: the text holds a NUL sign"
    if not text.strip():
        return "empty: the text has no character but spaces"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "encoding: a half of a surrogate pair stands alone"
    return ""


def _letters(text: str) -> float:
    signs = sum(not sign.isspace() for sign in text)
    return float(np.float32(sum(sign.isalpha() for sign in text) / signs)) if signs else 0.0
