"""What the cells of one column hold, read as people mean them: '12' is a number, '' and ' ' are missing. Nothing is changed by looking."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, Literal

Kind = Literal["text", "category", "number", "date", "id", "constant", "empty"]

MAX_CATEGORIES = 50
"""Words with more different values are no category, unless each comes often."""
MAX_REMEMBERED = 100_000
"""Different values of a column that are told apart."""
TEXT_WORDS = 3
"""Words of the middle value from which a column is called text."""
STRANGE = 0.05
"""Share of cells that may be no numbers in a column of numbers: somebody's typing errors."""

_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_ISO_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f")
_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
_DECORATED = re.compile(r"[-+]?[$€£]?\s?\d[\d,.' ]*\s?[%€$£]?")


@dataclass
class Column:
    """One column."""

    name: str
    kind: Kind = "empty"
    missing: int = 0
    """Cells that hold nothing, or only spaces."""
    present: int = 0
    distinct: int = 0
    middle_words: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of each value, most frequent first; of a category, a number of few values or a constant."""
    smallest: float | str | None = None
    """Of numbers, also of those that are ids, and of dates."""
    middle: float | None = None
    largest: float | str | None = None
    whole: bool = False
    """Whether all numbers are whole."""
    decimal: str = "."
    strange: Mapping[str, int] = field(default_factory=dict)
    """In a column of numbers: what is none."""
    written: str | None = None
    """Of dates: how, unless as 2026-01-31 or with a zone."""
    late_day: bool = False
    """Whether one of the dates is later than the 12th of its month, which tells day from month."""
    decorated: str | None = None
    """An example where most cells are numbers with signs around them, such as '$1,200'."""

    def words(self) -> str:
        """The column in a line."""
        share = f", {self.missing:,} missing" if self.missing else ""
        match self.kind:
            case "text":
                size = (
                    f"{self.middle_words} words in the middle"
                    if self.middle_words >= TEXT_WORDS
                    else f"{self.distinct:,} different"
                )
                return f"text, {size}{share}"
            case "category" | "constant":
                return f"{self.kind}, {first_counts(self.counts)}{share}"
            case "number":
                few = f", {self.distinct} values" if self.counts else ""
                return f"number, {short(self.smallest)} to {short(self.largest)}{few}{share}"
            case "date":
                return f"date, {self.smallest} to {self.largest}{share}"
            case "id":
                return f"a value of its own in every row{share}"
        return "empty"


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


def describe(name: str, values: Iterable[Any], *, nothing: Collection[str] = ()) -> Column:
    """What a column holds.

    Args:
        name: of the column.
        values: its cells, as a format reads them.
        nothing: cells that mean that there is no value, besides blank ones.
    """
    texts = [as_text(value) for value in values]
    present = [text for text in texts if text and text not in nothing]
    counts = Counter(present)
    column = Column(name, missing=len(texts) - len(present), present=len(present), distinct=min(len(counts), MAX_REMEMBERED))
    if not present:
        return column
    lengths = sorted(len(text.split()) for text in present)
    column.middle_words = lengths[len(lengths) // 2]
    ranked = dict(counts.most_common())
    own = len(counts) == len(present) >= 20 and column.middle_words == 1
    if len(counts) == 1 and len(present) > 1:
        column.kind, column.counts = "constant", ranked
    elif (numbers := _numbers(counts, column)) is not None:
        column.kind = "id" if own and column.whole and not column.strange else "number"
        few = len(counts) <= min(20, max(2, len(present) // 5)) and not column.strange
        column.counts = ranked if few and column.kind == "number" else {}
        spread = sorted(number for text, number in numbers.items() for _ in range(counts[text]))
        column.smallest, column.middle, column.largest = spread[0], spread[len(spread) // 2], spread[-1]
    elif dates := _dates(list(counts), column):
        column.kind, column.smallest, column.largest = "date", min(dates), max(dates)
    elif own:
        column.kind = "id"
    elif column.middle_words >= TEXT_WORDS and len(counts) > min(MAX_CATEGORIES, len(present) // 2):
        column.kind = "text"
    elif len(counts) <= MAX_CATEGORIES or len(present) >= 20 * len(counts):
        column.kind, column.counts = "category", ranked
    else:
        column.kind = "text"
    if column.kind in ("id", "text", "category") and len(counts) > 5:
        decorated = [text for text in counts if _DECORATED.fullmatch(text) and not text.isdigit()]
        column.decorated = decorated[0] if len(decorated) >= 0.9 * len(counts) and column.smallest is None else None
    return column


def as_text(value: Any) -> str:
    """A cell as a person would write it; '' for nothing."""
    if value is None or value != value:  # NaN, which is how tables without blanks write one
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()


def as_number(text: str, decimal: str = ".") -> float | None:
    """The number that a cell holds, finite; None for any other."""
    if decimal == ",":
        if not _DECIMAL_COMMA.fullmatch(text):
            return None
        text = text.replace(".", "").replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _numbers(counts: Mapping[str, int], column: Column) -> dict[str, float] | None:
    """What the different cells are as numbers; None where the column holds no numbers, or codes such as 00123."""
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in counts):
        return None
    for decimal in (".", ","):
        read = {text: as_number(text, decimal) for text in counts}
        found = {text: number for text, number in read.items() if number is not None}
        strange = {text: counts[text] for text in counts if text not in found}
        typing_errors = len(counts) > MAX_CATEGORIES and sum(strange.values()) <= STRANGE * sum(counts.values())
        if found and (not strange or typing_errors):
            column.decimal, column.strange = decimal, dict(Counter(strange).most_common())
            column.whole = all(number.is_integer() for number in found.values())
            return found
    return None


def _dates(texts: Sequence[str], column: Column) -> list[str]:
    """As ISO dates; empty when one is no date."""
    forms = (*_ISO_TIMES, *(day + time for day in _DATES for time in _TIMES))
    readers: list[tuple[str | None, Callable[[str], date]]] = [(None, _iso), *((form, _reader(form)) for form in forms)]
    for written, read in readers:
        try:
            found = [read(text).isoformat()[:10] for text in texts]
        except ValueError:
            continue
        column.written, column.late_day = written, any(int(day[8:]) > 12 for day in found)
        return found
    return []


def _reader(form: str) -> Callable[[str], date]:
    return lambda text: datetime.strptime(text, form)  # noqa: DTZ007 - only the day counts


def _iso(text: str) -> date:
    """2026-01-31, or a moment with a zone."""
    if text[4:5] != "-":
        raise ValueError(text)  # 3.11 reads 20260131, too
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None and len(text) > len("2026-01-31"):
        raise ValueError(text)
    return moment
