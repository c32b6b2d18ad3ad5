"""The columns of a table as they stand: what each holds, how much is missing, from what to what. Nothing is changed by looking."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from headrace.errors import DataError, ParamsError
from headrace.formats import csv as csv_format
from headrace.formats import jsonl, parquet
from headrace.formats.opening import iter_lines
from headrace.formats.record import SourceFile
from headrace.params import did_you_mean
from headrace.starting.contract import MAX_RECORDS, Request

Kind = Literal["text", "category", "number", "date", "id", "constant", "empty"]

MAX_CATEGORIES = 50
"""Words with more different values are no category, unless each comes often."""
MAX_REMEMBERED = 100_000
"""Different values of a column that are told apart."""
TEXT_WORDS = 3
"""Words of the middle value from which a column is called text."""

_FORMATS = (("csv", csv_format.TABLES), ("jsonl", jsonl.TABLES), ("parquet", parquet.TABLES))
_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_DELIMITERS = ",;\t|"


@dataclass
class Column:
    """One column."""

    name: str
    kind: Kind = "empty"
    missing: int = 0
    """Cells that hold nothing, or only spaces."""
    distinct: int = 0
    middle_words: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of each value, most frequent first; of a category, a number of few values or a constant."""
    smallest: float | str | None = None
    largest: float | str | None = None

    def words(self) -> str:
        """The column in a line."""
        share = f", {self.missing:,} missing" if self.missing else ""
        match self.kind:
            case "text":
                return f"text, {self.middle_words} words in the middle{share}"
            case "category" | "constant":
                return f"{self.kind}, {first_counts(self.counts)}{share}"
            case "number":
                few = f", {self.distinct} values" if self.counts else ""
                return f"number, {short(self.smallest)} to {short(self.largest)}{few}{share}"
            case "date":
                return f"date, {self.smallest} to {self.largest}{share}"
            case "id":
                return "a value of its own in every row"
        return "empty"


@dataclass(frozen=True)
class Table:
    """What the files hold as a table."""

    format: str
    options: Mapping[str, Any]
    """Of the format, as far as they differ from its defaults: delimiter, encoding."""
    columns: Sequence[Column]
    rows: int

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

    def listing(self) -> str:
        """Every column in a line; of many, the first."""
        width = max((len(column.name) for column in self.columns[:30]), default=0)
        lines = [f"  {column.name:<{width}}  {column.words()}" for column in self.columns[:30]]
        return "\n".join([*lines, *([f"  and {len(self.columns) - 30} more"] if len(self.columns) > 30 else [])])


def quoted(text: str) -> str:
    """As a shell needs it."""
    return text if text.replace("_", "").replace("-", "").isalnum() else f"'{text}'"


def short(value: object) -> str:
    """A number without noise."""
    return f"{value:,.6g}" if isinstance(value, float | int) else str(value)


def first_counts(counts: Mapping[str, int], limit: int = 6) -> str:
    """'good (12), bad (3)', and how many more there are."""
    shown = ", ".join(f"{name[:40]} ({count:,})" for name, count in islice(counts.items(), limit))
    return shown + (f" and {len(counts) - limit} more" if len(counts) > limit else "")


def table_format(files: Sequence[SourceFile]) -> str | None:
    """The format of files that are tables, by their names; None when they are something else."""
    for name, endings in _FORMATS:
        if files and all(file.name.lower().endswith(endings) for file in files):
            return name
    return None


def read_table(request: Request, format_name: str) -> Table:
    """Look at every column.

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
    values: dict[str, list[Any]] = {}
    rows = 0
    for record in islice(module.read(request.files, parsed), MAX_RECORDS):
        rows += 1
        if isinstance(record.payload, Mapping):
            for name, value in record.payload.items():
                values.setdefault(name, []).append(value)
    if not values:
        raise DataError(f"{request.data} holds no row that can be read.")
    return Table(format_name, options, [describe(name, found) for name, found in values.items()], rows)


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


def describe(name: str, values: Iterable[Any]) -> Column:
    """What a column holds. Texts are read as people mean them: '12' is a number, '' and ' ' are missing."""
    texts = [_as_text(value) for value in values]
    present = [text for text in texts if text]
    counts = Counter(islice(present, MAX_RECORDS)) if present else Counter()
    column = Column(name, missing=len(texts) - len(present), distinct=min(len(counts), MAX_REMEMBERED))
    if not present:
        return column
    lengths = sorted(len(text.split()) for text in present)
    column.middle_words = lengths[len(lengths) // 2]
    ranked = dict(counts.most_common())
    numbers = _numbers(present)
    if len(counts) == 1 and len(present) > 1:
        column.kind, column.counts = "constant", ranked
    elif (
        len(counts) == len(present) >= 20
        and column.middle_words == 1
        and (numbers is None or all(n.is_integer() for n in numbers))
    ):
        column.kind = "id"
    elif numbers is not None:
        column.kind, column.smallest, column.largest = "number", min(numbers), max(numbers)
        column.counts = ranked if len(counts) <= min(20, max(2, len(present) // 5)) else {}
    elif dates := _dates(present):
        column.kind, column.smallest, column.largest = "date", min(dates), max(dates)
    elif column.middle_words >= TEXT_WORDS and len(counts) > min(MAX_CATEGORIES, len(present) // 2):
        column.kind = "text"
    elif len(counts) <= MAX_CATEGORIES or len(present) >= 20 * len(counts):
        column.kind, column.counts = "category", ranked
    else:
        column.kind = "text"
    return column


def _as_text(value: Any) -> str:
    if value is None or value != value:  # NaN, which is how tables without blanks write one
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()


def _numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        found = [float(text) for text in texts]
    except ValueError:
        return None
    return found if all(abs(number) != float("inf") and number == number for number in found) else None


def _dates(texts: Sequence[str]) -> list[str]:
    """As ISO dates; empty when one is no date."""
    for form in _DATES:
        try:
            return [datetime.strptime(text[:10] if form == "%Y-%m-%d" else text, form).date().isoformat() for text in texts]  # noqa: DTZ007 - only the day counts
        except ValueError:
            continue
    return []
