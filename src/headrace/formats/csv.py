"""Tables as delimited text. Rows are read as they stand: nothing is guessed, shifted, filled or turned into numbers."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pydantic import Field

from headrace.errors import FormatError
from headrace.formats.kinds import LOOKED_AT, add_file, kinds
from headrace.formats.opening import INVALID, MAX_LINE_BYTES, iter_lines
from headrace.formats.record import RawRecord, SourceFile
from headrace.formats.tables import ColumnOptions, RowReader, tables_among

TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


class Options(ColumnOptions):
    """How the text is cut into cells, and what the columns mean."""

    delimiter: str = Field(default=",", pattern=r"^[^\r\n]$")
    """Between cells; a tab is "\\t"."""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """Around cells that hold the delimiter; null when quotes are ordinary signs."""
    encoding: str = "utf-8"
    columns: list[str] | None = None
    """Names of the columns of a file without a header line."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a row; a row with too few or too many cells is a faulty record.

    Raises:
        FormatError: no header, no row, a column twice, broken quoting, or the first row does not match the header.
    """
    for file in tables_among(files, TABLES, options):
        try:
            yield from _read_table(file, files, options)
        except csv.Error as error:
            raise FormatError(f"{file}: {error}. Correct collect.options.quote or delimiter, or the file.") from None


def columns(files: Sequence[SourceFile], options: Options) -> dict[str, dict[str, str]]:
    """Column names of each source, and the kind of what stands in them. Errors as `read`, as far as the first rows show them."""
    given: dict[str, dict[str, str]] = {}
    for file in tables_among(files, TABLES, options):
        try:
            rows = _rows(file, options)
            names = _names(rows, options)
            whole = (cells for cells in islice(rows, LOOKED_AT) if len(cells) == len(names))
            add_file(given, file.source, kinds(names, whole))
        except csv.Error as error:
            raise FormatError(f"{file}: {error}. Correct collect.options.quote or delimiter, or the file.") from None
    return given


def _rows(file: SourceFile, options: Options) -> Any:
    """Csv's reader, of a type it does not name."""
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = (
        line + "\n" for line in iter_lines(file, encoding=options.encoding, keep_invalid=options.invalid_bytes == "quarantine")
    )
    if options.quote:
        return csv.reader(lines, delimiter=options.delimiter, quotechar=options.quote, strict=True)
    return csv.reader(lines, delimiter=options.delimiter, quoting=csv.QUOTE_NONE, strict=True)


def _names(rows: Any, options: Options) -> list[str]:
    return options.columns or [name.strip() for name in next(rows, [])]


def _read_table(file: SourceFile, files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    rows = _rows(file, options)
    names = _names(rows, options)
    reader = RowReader(file, names, options, files)
    count = 0
    for cells in rows:
        if not cells:
            continue  # an empty line
        count += 1
        position = f"line {rows.line_num}"
        if len(cells) != len(names):
            found = f"columns: found {len(cells)}, the header has {len(names)}"
            if count == 1:
                # Where every row is one longer, some readers silently take the first column for an index.
                raise FormatError(f"{file}, {position}: {found}. Correct the header, collect.options.columns or delimiter.")
            yield reader.fault(position, found, cells)
        elif any(INVALID.search(cell) for cell in cells):
            yield reader.fault(position, f"encoding: a byte is not {options.encoding}", cells)
        elif any("\0" in cell for cell in cells):
            yield reader.fault(position, "NUL: a cell holds a NUL sign", cells)
        else:
            yield reader.record(dict(zip(names, cells, strict=True)), position)
    if not count:
        raise FormatError(f"{file} holds no row below its header.")
