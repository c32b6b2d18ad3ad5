"""Text files with one record a line: its class, a separator, its text; or a file for each class."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from headrace.errors import FormatError
from headrace.formats.opening import INVALID, broken, iter_lines
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section


class Options(Section):
    """How a line is read."""

    separator: str = Field(default=" ", min_length=1)
    """Between class and text; the first one in a line counts. A tab is "\\t"."""
    names: dict[str, str] = Field(default_factory=dict)
    """What classes are called, where lines have a sign for them, such as {"0": negative, "1": positive}."""
    files: dict[str, str] = Field(default_factory=dict)
    """Class of every line of a file, by the file's name, such as {films.pos: positive}: its lines are text alone."""
    encoding: str = "utf-8"
    invalid_bytes: Literal["refuse", "quarantine"] = "refuse"
    """What bytes that are not text in `encoding` make: refuse, a file that cannot be read; quarantine, faulty records."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a line; a line without separator is a faulty record, an empty line none.

    Raises:
        FormatError: a file without a line or, where files have classes, without a class; or as `iter_lines`.
    """
    for file in files:
        if options.files and PurePath(file.name).name not in options.files:
            raise FormatError(
                f"{file} has no class: collect.options.files names {', '.join(sorted(options.files))}. Add it there."
            )
        found = False
        lines = iter_lines(file, encoding=options.encoding, keep_invalid=options.invalid_bytes == "quarantine")
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found = True
                yield _record(file, line, f"line {number}", options)
        if not found:
            raise FormatError(f"{file} holds no line. Check collect.sources.")


def _record(file: SourceFile, line: str, position: str, options: Options) -> RawRecord:
    content = line.encode("utf-8", "surrogateescape")
    if INVALID.search(line):
        return broken(file, position, f"encoding: a byte is not {options.encoding}", content=content)
    if options.files:
        return RawRecord(line, options.files[PurePath(file.name).name], file.split, file.source, f"{file.name}:{position}")
    sign, separator, text = line.partition(options.separator)
    if not separator or not sign.strip():
        return broken(file, position, f"no class: nothing stands before the first {options.separator!r}", content=content)
    label = options.names.get(sign.strip(), sign.strip())
    return RawRecord(text, label, file.split, file.source, f"{file.name}:{position}")
