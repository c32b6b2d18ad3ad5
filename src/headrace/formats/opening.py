"""Open a data file for reading: gzip or plain, with the faults of whole files told apart.

An empty file, a web page in place of data, a wrong extension, a truncated or damaged gzip stream: each is a FormatError that
names the file, never a shorter data set.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from headrace.errors import FormatError
from headrace.formats.record import RawRecord, SourceFile

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A text file with a longer line is refused: it is no table, and reading it would take as much memory."""

INVALID = re.compile("[\udc80-\udcff]")
"""A byte that is not text in the encoding of its line."""

_GZIP_MAGIC = b"\x1f\x8b"
_KNOWN_STARTS = {
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"SQLite format 3": "a SQLite database",
}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def looks_like_html(start: bytes) -> bool:
    """Whether bytes begin like a web page, such as a log-in or an error page served in place of data."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head"))


@contextmanager
def open_data(file: SourceFile) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; `.gz` is recognised by its content, not by its name.

    Raises:
        FormatError: the file is empty, is a web page, or its gzip stream is cut short or damaged (while it is read).
    """
    with file.path.open("rb") as raw:
        start = raw.read(512)
        raw.seek(0)
        if not start:
            raise FormatError(f"{file} is empty. Fetch it again, or take it out of the source.")
        if looks_like_html(start):
            raise FormatError(
                f"{file} holds a web page, not data: a server answered with a log-in or error page. Fetch it again."
            )
        zipped = start.startswith(_GZIP_MAGIC)
        if not zipped and file.name.endswith(".gz"):
            raise FormatError(f"{file} is named .gz but is {describe(start)}. Give it its right name.")
        try:
            # A buffer above gzip: lines read from GzipFile directly cost ten times as much.
            yield io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), 1 << 20) if zipped else raw
        except EOFError:
            raise FormatError(f"{file} is cut short: its gzip stream has no end. Fetch it again.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"{file} is a damaged gzip file ({error}). Fetch it again.") from None


def describe(start: bytes) -> str:
    """What the first bytes of a file look like, for messages."""
    for magic, name in _KNOWN_STARTS.items():
        if start.startswith(magic):
            return name
    if start.startswith(_GZIP_MAGIC):
        return "a gzip file"
    return "a web page" if looks_like_html(start) else "not"


def iter_lines(file: SourceFile, *, encoding: str = "utf-8", keep_invalid: bool = False) -> Iterator[str]:
    """The lines of a text file, without their ends; a byte order mark is dropped.

    With `keep_invalid` bytes that are not text in `encoding` stay in their line as lone surrogates, for `INVALID` to find.

    Raises:
        FormatError: as `open_data`; a line is too long, bytes are not text in `encoding`, or it is another kind of file.
    """
    with open_data(file) as stream:
        for number, line in enumerate(_lines(stream, file), start=1):
            if number == 1:
                line = _check_text_start(line, file, encoding)  # noqa: PLW2901
            try:
                yield line.decode(encoding, "surrogateescape" if keep_invalid else "strict").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"{file}, line {number}: byte {error.start} is not {encoding} ({error.reason}). "
                    "Set collect.options.encoding, for instance to latin-1, or save the file as UTF-8; collect.options.invalid_bytes: "
                    "quarantine keeps the other lines."
                ) from None


def _lines(stream: BinaryIO, file: SourceFile) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise FormatError(f"{file} has a line of more than {MAX_LINE_BYTES} bytes; it is no table.")
        yield line


def _check_text_start(line: bytes, file: SourceFile, encoding: str) -> bytes:
    if encoding.replace("_", "-").lower().startswith("utf-8"):
        if line.startswith(_UTF16_MARKS):
            raise FormatError(f"{file} is UTF-16 text. Save it as UTF-8.")
        line = line.removeprefix(b"\xef\xbb\xbf")
    for magic, name in _KNOWN_STARTS.items():
        if line.startswith(magic):
            raise FormatError(f"{file} is {name}, not text. Set collect.format to what it is.")
    if b"\0" in line[:4096]:
        raise FormatError(f"{file} holds NUL bytes in its first line: it is no text file in {encoding}.")
    return line


def broken(file: SourceFile, position: str, fault: str, *, content: bytes | None = None) -> RawRecord:
    """A record that cannot be read; `validate` quarantines it with the reason."""
    return RawRecord(
        payload=None,
        label=None,
        split=file.split,
        source=file.source,
        origin=f"{file.name}:{position}",
        content=content,
        fault=fault,
    )
