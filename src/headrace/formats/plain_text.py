"""Files of running text, such as books: stretches of a file, cut where paragraphs end."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from headrace.errors import FormatError
from headrace.formats.opening import iter_lines
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section


class Options(Section):
    """How files are read."""

    encoding: str = "utf-8"
    """Of every file; a byte order mark of UTF-8 is dropped."""
    stretch_characters: int = Field(default=1_000_000, ge=1)
    """A file is handed on in stretches of about so many characters, so that one of any size fits into memory."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """Stretches of each file, one after the other, which together are the file; every line ends with a line feed.

    Raises:
        FormatError: a file without text, or as `iter_lines`.
    """
    for file in files:
        found = False
        for number, text in _stretches(file, options):
            found = True
            yield RawRecord(text, None, file.split, file.source, f"{file.name}:line {number}")
        if not found:
            raise FormatError(f"{file} holds no text. Check collect.sources.")


def _stretches(file: SourceFile, options: Options) -> Iterator[tuple[int, str]]:
    """First line and text of each stretch: it ends behind the first empty line that makes it long enough."""
    lines: list[str] = []
    size, first = 0, 1
    for number, line in enumerate(iter_lines(file, encoding=options.encoding), start=1):
        lines.append(line + "\n")
        size += len(lines[-1])
        if size >= options.stretch_characters and (not line.strip() or size >= 2 * options.stretch_characters):
            yield first, "".join(lines)
            lines, size, first = [], 0, number + 1
    if any(line.strip() for line in lines):
        yield first, "".join(lines)
