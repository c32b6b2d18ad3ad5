"""Running text on its way in: cut where it has borders, measured, and kept as it is in a string column `text`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from headrace.formats.record import RawRecord, digest
from headrace.params import Section

_MEASURED = ("characters", "bytes", "words", "lines", "replaced")
"""replaced: signs that stand for lost bytes."""

_REPLACEMENT = "\ufffd"

_BORDERS = (re.compile(r"\n[^\S\n]*\n\s*"), re.compile(r"\n"), re.compile(r"(?<=[.!?])\s+"), re.compile(r"\s+"))
"""Where text may be cut, the best place first: empty lines, line ends, ends of sentences, spaces."""


class RecordOptions(Section):
    """How running text is cut into records."""

    characters: int = Field(default=1024, ge=1, le=1_000_000)
    """Of one record at most; it ends at the last border before: an empty line, else the end of a line, a sentence, a word."""


def settle(options: RecordOptions, raws: Sequence[RawRecord]) -> RecordOptions:  # noqa: ARG001  # the contract's arguments
    """Nothing is left open."""
    return options


def record_schema(options: RecordOptions) -> pa.Schema:  # noqa: ARG001  # the contract's argument
    """id, text, label (-1: there are no classes), split, source, origin, fault and the measured columns."""
    strings = [(name, pa.string()) for name in ("split", "source", "origin", "fault")]
    measured = [(name, pa.int64()) for name in _MEASURED]
    return pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.int64()), *strings, *measured])


def record_info(options: RecordOptions) -> dict[str, Any]:  # noqa: ARG001  # the contract's argument
    """Payload column and type, for dataset.json; one text has no shape."""
    return {"payload": "text", "shape": [], "dtype": "string"}


def make_rows(raws: Sequence[RawRecord], classes: Mapping[str, int], options: RecordOptions) -> pa.Table:  # noqa: ARG001
    """Cut and measure: one text gives as many rows as it takes; one that cannot be read is a row with `fault` set and no text."""
    rows = [row for raw in raws for row in _rows(raw, options)]
    schema = record_schema(options)
    return pa.Table.from_pylist(rows, schema=schema)


def _rows(raw: RawRecord, options: RecordOptions) -> Iterator[dict[str, Any]]:
    text, fault = _text(raw)
    if fault:
        yield _row(raw, "", fault, raw.origin, raw.content or f"{raw.source}\n{raw.origin}".encode())
        return
    place = 0
    for piece in cut(text, options.characters):
        if piece.strip():
            origin = f"{raw.origin}, characters {place} to {place + len(piece)}"
            fault = _fault(piece)
            yield _row(raw, "" if fault else piece, fault, origin, piece.encode("utf-8", "surrogatepass"))
        place += len(piece)
    if not text.strip():
        yield _row(raw, "", "empty: the text has no character but spaces", raw.origin, text.encode("utf-8", "surrogatepass"))


def cut(text: str, limit: int) -> Iterator[str]:
    """Pieces of at most `limit` characters that together are the text, each ending at the best border there is."""
    start = 0
    while len(text) - start > limit:
        window = text[start : start + limit]
        for border in _BORDERS:
            ends = [found.end() for found in border.finditer(window)]
            if ends and ends[-1] > limit // 2:  # a better border that leaves half of the room unused is passed over
                break
        stop = ends[-1] if ends and ends[-1] > limit // 2 else limit
        yield text[start : start + stop]
        start += stop
    if start < len(text):
        yield text[start:]


def _row(raw: RawRecord, text: str, fault: str, origin: str, content: bytes) -> dict[str, Any]:
    return {
        "id": digest(content),
        "text": text,
        "label": -1,
        "split": raw.split,
        "source": raw.source,
        "origin": origin,
        "fault": fault,
        "characters": len(text),
        "bytes": len(text.encode("utf-8")),
        "words": len(text.split()),
        "lines": len(text.splitlines()),
        "replaced": text.count(_REPLACEMENT),
    }


def _text(raw: RawRecord) -> tuple[str, str]:
    """The text and '', or '' and why there is none."""
    if raw.fault:
        return "", raw.fault
    if isinstance(raw.payload, bytes):
        try:
            return raw.payload.decode("utf-8-sig"), ""
        except UnicodeDecodeError as error:
            return "", f"encoding: byte {error.start} is not utf-8"
    if not isinstance(raw.payload, str):
        return "", f"not a text: the format gave a {type(raw.payload).__name__}; set the payload in collect.options"
    return raw.payload, ""


def _fault(piece: str) -> str:
    if "\0" in piece:
        return "NUL: the text holds a NUL sign"
    try:
        piece.encode("utf-8")
    except UnicodeEncodeError:
        return "encoding: a half of a surrogate pair stands alone"
    return ""
