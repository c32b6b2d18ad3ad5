"""Which format reads which files, and whether what several sources bring can stand in one data set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

from pydantic import Field

from headrace.dataset.given_columns import GivenColumns
from headrace.errors import DataError, ParamsError
from headrace.formats.kinds import EMPTY, kind_of, together
from headrace.formats.record import RawRecord, SourceFile
from headrace.intake.contract import check_parts
from headrace.params import Section, did_you_mean, parse_section
from headrace.plugins import resolve


class SourceReading(Section):
    """What is read otherwise in one source."""

    format: str | None = None
    """Name in headrace/formats, or `module:attribute`; null: collect.format."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the format in place of collect.options, such as the names that columns have in this source."""


@dataclass(frozen=True)
class Reading:
    """Files that one format reads with one set of options."""

    reader: Any
    """A module of headrace/formats, or own code like one."""
    options: Any
    files: Sequence[SourceFile]


@dataclass(frozen=True)
class Readers:
    """Reader and options for all sources, and those of sources that are read otherwise."""

    names: Sequence[str]
    usual: tuple[Any, Any]
    own: Mapping[str, tuple[Any, Any]]

    def readings(self, files: Sequence[SourceFile]) -> list[Reading]:
        """Which files are read how, in the order of the sources."""
        if not self.own:
            return [Reading(*self.usual, files)]
        return [Reading(*self.own.get(name, self.usual), [file for file in files if file.source == name]) for name in self.names]


def choose_readers(
    name: str, options: Mapping[str, Any], per_source: Mapping[str, SourceReading], *, names: Sequence[str]
) -> Readers:
    """Find the formats and check their options, before anything is fetched.

    Args:
        name: collect.format.
        options: collect.options.
        per_source: collect.per_source.
        names: of the sources, in their order.

    Raises:
        ParamsError: there is no such format, source or option.
    """
    usual = _way(resolve("formats", name, None, where="collect.format"), name, options, "collect")
    own = {}
    for source, way in per_source.items():
        where = f"collect.per_source.{source}"
        if source not in names:
            raise ParamsError(f"{where}: collect.sources has no source '{source}'.{did_you_mean(source, names)}")
        chosen = way.format or name
        own[source] = _way(resolve("formats", chosen, None, where="collect.per_source"), chosen, way.options, where)
    return Readers(names, usual, own)


def _way(reader: Any, name: str, options: Mapping[str, Any], where: str) -> tuple[Any, Any]:
    check_parts(reader, ("Options", "read"), where=f"{where}.format is '{name}'")
    return reader, parse_section(options, f"{where}.options", reader.Options, where="params.yaml")


def read_all(readings: Sequence[Reading]) -> Iterator[RawRecord]:
    """The records of all files, source after source."""
    for reading in readings:
        yield from reading.reader.read(reading.files, reading.options)


def kept_columns(readings: Sequence[Reading]) -> list[str]:
    """Names of the columns that go with the records of any source."""
    return list(dict.fromkeys(name for reading in readings for name in getattr(reading.options, "keep", ())))


def given_columns(readings: Sequence[Reading]) -> GivenColumns:
    """The columns of the sources whose format knows columns, as they came.

    Raises:
        FormatError: a file cannot be read.
        DataError: two sources have columns that cannot stand in one data set.
    """
    given: GivenColumns = {}
    meanings: dict[str, dict[str, tuple[str, str]]] = {}
    for reading in readings:
        if hasattr(reading.reader, "columns"):
            found: GivenColumns = reading.reader.columns(reading.files, reading.options)
            given |= found
            meanings |= {source: _meanings(columns, reading.options) for source, columns in found.items()}
    for (first, its), (second, others) in pairwise(meanings.items()):
        _refuse_conflict(first, its, second, others)
    return given


def _meanings(columns: Mapping[str, str], options: Any) -> dict[str, tuple[str, str]]:
    """What the options make of columns: meaning to column and kind."""
    label, split, payload = (getattr(options, name, None) for name in ("label", "split", "payload"))
    aside = (label, split, *getattr(options, "keep", ()))
    if isinstance(payload, str):
        meant = {"the payload": (payload, columns.get(payload, EMPTY))}
    else:
        meant = {f"feature '{name}'": (name, columns.get(name, EMPTY)) for name in payload or columns if name not in aside}
    if label:
        # Classes are called what the options say: signs of any kind may stand for them.
        words = [kind_of(word) for word in getattr(options, "names", {}).values()]
        meant["the label"] = (label, reduce(together, words) if words else columns.get(label, EMPTY))
    return meant


def _refuse_conflict(first: str, its: Mapping[str, tuple[str, str]], second: str, others: Mapping[str, tuple[str, str]]) -> None:
    for meaning in sorted(its.keys() | others.keys()):
        if meaning == "the label" and not (meaning in its and meaning in others):
            continue  # a source without labels may stand beside one with them
        sides = [(source, found.get(meaning)) for source, found in ((first, its), (second, others))]
        kinds = {side[1] for _, side in sides if side is not None and side[1] != EMPTY}
        if len(kinds) > 1 or any(side is None for _, side in sides):
            told = ", ".join(
                f"source '{source}' has " + ("no such column" if side is None else f"{side[1]} (column '{side[0]}')")
                for source, side in sides
            )
            raise DataError(
                f"the sources do not fit together: {meaning}: {told}. Say under collect.per_source which columns are meant in "
                "each source, or mend the one that is wrong."
            )
