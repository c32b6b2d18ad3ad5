"""A suite of expectations as data: read from YAML and checked before the engine is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from headrace.errors import ParamsError
from headrace.params import Section, did_you_mean, parse_section, read_yaml

VERSION = 1

WHOLE_COLUMNS = ("class_rows", "class_ratio")
"""Columns a rule about all records may use as well: records of a record's class, and that over the largest class."""

COLUMN_KEYS = ("column", "column_A", "column_B")


class Line(Section):
    """One expectation of a suite."""

    expectation: str
    """Name in Great Expectations, such as expect_column_values_to_be_between."""
    reason: str = ""
    """What a failure means, in words; empty: expectation and column."""
    severity: Literal["critical", "warning", "info"] = "critical"
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The expectation's own arguments: column, min_value, mostly and so on."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the expectation reads."""
        named = [self.arguments[key] for key in COLUMN_KEYS if key in self.arguments]
        return tuple(str(column) for column in [*named, *self.arguments.get("column_list", [])])

    @property
    def words(self) -> str:
        """The reason, or what stands for it."""
        return self.reason or f"{self.expectation} on {', '.join(self.columns) or 'the data set'}"


class Suite(Section):
    """A whole file of expectations."""

    name: str
    lines: tuple[Line, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data set that the suite reads, in order of first mention."""
        return tuple(dict.fromkeys(c for line in self.lines for c in line.columns if c not in WHOLE_COLUMNS))


def load_suite(path: Path, *, classes: Sequence[str]) -> Suite:
    """Read a suite and put what dataset.json says in place of $num_classes and $last_label.

    Raises:
        ParamsError: no such file, another version, no expectation, an unknown key or placeholder, a column twice or none.
    """
    content = read_yaml(path)
    for key in content:
        if key not in ("version", "expectations"):
            raise ParamsError(f"{path}: unknown key '{key}'.{did_you_mean(str(key), ('version', 'expectations'))}")
    version = content.get("version")
    if version != VERSION:
        raise ParamsError(f"{path} is a suite of version {version!r}; this Headrace reads version {VERSION}.")
    entries = content.get("expectations")
    if not isinstance(entries, list) or not entries:
        raise ParamsError(f"{path} has no list of expectations: a suite that checks nothing would pass everything.")
    facts = {"$num_classes": len(classes), "$last_label": len(classes) - 1}
    lines = tuple(_parse(entry, number, facts, path) for number, entry in enumerate(entries))
    return Suite(name=path.stem, lines=lines)


def _parse(entry: Any, number: int, facts: Mapping[str, int], path: Path) -> Line:
    where = f"{path}: expectations[{number}]"
    if not isinstance(entry, dict):
        raise ParamsError(f"{where} must be a mapping with the key 'expectation', found {entry!r}.")
    own = {key: value for key, value in entry.items() if key in ("expectation", "reason", "severity")}
    arguments = {str(key): value for key, value in entry.items() if key not in own}
    for key, value in arguments.items():
        if isinstance(value, int | float) and abs(value) > 2**53:
            raise ParamsError(f"{where}.{key} is {value}; the engine compares as floats, which are exact up to 2^53 only.")
        if isinstance(value, str) and value.startswith("$"):
            if value not in facts:
                raise ParamsError(f"{where}.{key} is '{value}', which stands for nothing.{did_you_mean(value, facts)}")
            arguments[key] = facts[value]
    return parse_section({**own, "arguments": arguments}, f"expectations[{number}]", Line, where=str(path))
