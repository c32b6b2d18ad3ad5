"""A table as it stands: how it is written, its columns, and which of them an option names."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from headrace.errors import DataError, ParamsError
from headrace.formats import csv as csv_format
from headrace.formats import jsonl, parquet
from headrace.formats.opening import iter_lines
from headrace.formats.record import SourceFile
from headrace.params import did_you_mean
from headrace.starting.cells import Column, Kind, describe, quoted
from headrace.starting.contract import MAX_RECORDS, Request

_FORMATS = (("csv", csv_format.TABLES), ("jsonl", jsonl.TABLES), ("parquet", parquet.TABLES))
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """What the files hold as a table."""

    format: str
    options: Mapping[str, Any]
    """Of the format, as far as they differ from its defaults: delimiter, encoding."""
    columns: Sequence[Column]
    rows: int
    cells: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)
    """Of each column, those of the rows that can be read."""

    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]

    def of_kind(self, *kinds: Kind) -> list[Column]:
        """Columns of these kinds, in their order."""
        return [column for column in self.columns if column.kind in kinds]

    def column(self, name: str | None, option: str, wanted: Sequence[Column]) -> Column:
        """The column that an option names.

        Args:
            name: what was typed.
            option: such as '--label'.
            wanted: columns that it could be, likeliest first.

        Raises:
            ParamsError: nothing was typed, or no column is called so.
        """
        if name in self.names():
            return next(column for column in self.columns if column.name == name)
        likely = f" Likely: {option} {quoted(wanted[0].name)}." if wanted else ""
        if name is None:
            raise ParamsError(f"{option} is missing: which column is it?{likely} The columns are\n{self.listing()}")
        meant = did_you_mean(name, self.names())
        raise ParamsError(
            f"{option}: there is no column '{name}'.{meant if 'Did' in meant else likely} The columns are\n{self.listing()}"
        )

    def check_label(self, label: Column) -> None:
        """Refuse a label that has no classes.

        Raises:
            DataError: it has one value, none, or one for each row.
        """
        if label.kind in ("constant", "empty"):
            raise DataError(
                f"column '{label.name}' holds {label.words()} in all {self.rows:,} rows: a classifier needs two classes. "
                f"Is it the right column? The columns are\n{self.listing()}"
            )
        rows = self.rows - label.missing
        if label.distinct == rows:
            raise DataError(
                f"column '{label.name}' has a value of its own in each of its {rows:,} rows: it names records, not classes. "
                f"The columns are\n{self.listing()}"
            )

    def listing(self) -> str:
        """Every column in a line; of many, the first."""
        width = max((len(column.name) for column in self.columns[:30]), default=0)
        lines = [f"  {column.name:<{width}}  {column.words()}" for column in self.columns[:30]]
        return "\n".join([*lines, *([f"  and {len(self.columns) - 30} more"] if len(self.columns) > 30 else [])])


def table_format(files: Sequence[SourceFile]) -> str | None:
    """The format of files that are tables, by their names; None when they are something else."""
    for name, endings in _FORMATS:
        if files and all(file.name.lower().endswith(endings) for file in files):
            return name
    return None


def read_table(request: Request, format_name: str, *, nothing: Collection[str] = ()) -> Table:
    """Look at every column.

    Args:
        request: what was typed.
        format_name: of the files.
        nothing: cells that mean that there is no value, besides blank ones.

    Raises:
        FormatError: the file cannot be read.
        DataError: it is not in the encoding that was named, or holds no row.
    """
    options: dict[str, Any] = {}
    if request.encoding and format_name != "parquet":
        options["encoding"] = request.encoding
    if format_name == "csv":
        delimiter = request.delimiter or _delimiter(request)
        if delimiter != ",":
            options["delimiter"] = delimiter
    module: Any = {"csv": csv_format, "jsonl": jsonl, "parquet": parquet}[format_name]
    parsed = module.Options(label=None, **options)
    cells: dict[str, list[Any]] = {}
    rows = read = 0
    for record in islice(module.read(request.files, parsed), MAX_RECORDS):
        rows += 1
        if not isinstance(record.payload, Mapping):
            continue
        for name, value in record.payload.items():
            cells.setdefault(name, [None] * read).append(value)
        read += 1
        if len(record.payload) < len(cells):
            for name in cells.keys() - record.payload.keys():
                cells[name].append(None)
    if not cells:
        raise DataError(f"{request.data} holds no row that can be read.")
    found = [describe(name, column, nothing=nothing) for name, column in cells.items()]
    return Table(format_name, options, found, rows, cells)


def _delimiter(request: Request) -> str:
    """The sign that cuts the first lines into the same number of cells, most of them."""
    lines = list(islice(iter_lines(request.files[0], encoding=request.encoding or "utf-8", keep_invalid=True), 50))
    best, cells = ",", 1
    for sign in _DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=sign) if row)
        except csv.Error:
            continue
        width, times = widths.most_common(1)[0] if widths else (1, 0)
        if width > cells and times >= 0.8 * widths.total():
            best, cells = sign, width
    return best
