"""One step of a chain, after it was looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "broken", "gone"]
MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Edge:
    """What was compared, and what came out."""

    name: str
    state: State
    told: str

    def __str__(self) -> str:
        return f"{self.state:<7} {self.name:<28} {self.told}"


def fine(name: str, told: str) -> Edge:
    """It was hashed again and is what it was."""
    return Edge(name, "ok", told)


def broken(name: str, told: str) -> Edge:
    """It is not what it was."""
    return Edge(name, "broken", told)


def gone(name: str, told: str) -> Edge:
    """What it led to is not on this machine, or was never recorded."""
    return Edge(name, "gone", told)


def some(names: list[str]) -> str:
    """The first few of many, for `told`."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
