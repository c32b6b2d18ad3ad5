"""What is asked of `headrace init`, and what a task's part of this room answers after a look at the data.

A part is a module of this room with the task's name and one function, `look(Request) -> FirstLook`. It reads the data through the very
formats and intake that `collect` uses, so that the first suite is about the numbers that `validate` will judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from headrace.formats.record import SourceFile

MAX_RECORDS = 200_000
"""Records that are looked at; of a larger data set the first ones."""


@dataclass(frozen=True)
class Request:
    """What a person typed."""

    data: Path
    """File or folder, absolute."""
    files: Sequence[SourceFile]
    """What it holds, as the source will name it."""
    text: str | None = None
    """Column of the text."""
    label: str | None = None
    """Column of the class, or of what is to be predicted."""
    split: str | None = None
    """Column that says train, validation or test."""
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class Rule:
    """One expectation of the first suite."""

    body: Mapping[str, Any]
    taken_from: str
    """The comment above it: what in the data it was read off."""


@dataclass(frozen=True)
class FirstLook:
    """What a part found, and what follows for the project's files."""

    rows: int
    """Records that were looked at."""
    collect: Mapping[str, Any]
    """Section `collect` without its sources."""
    recipe: str
    """File in template/ whose other sections the project starts with."""
    changes: Mapping[str, tuple[Any, str]]
    """Values that replace those of the recipe, by dotted key, each with the comment that says why."""
    rules: Sequence[Rule]
    """The suite."""
    found: Sequence[str]
    """What the data hold, a line each, for the terminal."""
    checks: Sequence[str] = field(default=())
    """What a person should look at, most important first."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Comments on the columns of `collect.record.columns`: what in the data each was read off."""


class Start(Protocol):
    """A module of this room with the name of a task."""

    def look(self, request: Request) -> FirstLook:
        """Look at the data.

        Raises:
            ParamsError: a column that is not there or cannot be what it was called.
            DataError: no model can come of it, with what to do instead.
            FormatError: the file cannot be read.
        """
