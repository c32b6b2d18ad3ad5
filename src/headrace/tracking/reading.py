"""Read an MLflow store without importing MLflow: a trace must not wait two seconds for an import before it asks anything.

A server is asked over its REST interface (`rest.py`); a database is read with plain SQL (`database.py`), SQLite always with the
schema that `store.prepare` made. Nothing is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headrace.tracking.store import check, prepare


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store has it."""

    run_id: str
    name: str
    status: str
    started: int | None
    """Milliseconds since the epoch."""
    ended: int | None
    artifacts: str
    """URI of its artifacts."""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Data set to digest."""


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A model version as the store has it."""

    model: str
    version: int
    run_id: str
    created: int | None
    source: str
    """URI of its artifacts."""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """What a store can be asked. What is not there is None; a store that fails raises EngineError."""

    def run(self, run_id: str) -> RunRecord | None:
        """A run by its id."""

    def version(self, model: str, number: int) -> VersionRecord | None:
        """A version with its aliases and tags."""

    def alias(self, model: str, alias: str) -> int | None:
        """The version that an alias names."""

    def versions(self, model: str) -> list[int]:
        """Numbers of all versions, ascending."""

    def models(self) -> list[str]:
        """Names of registered models, some of them where there are many."""

    def run_file(self, run: RunRecord, path: str) -> bytes | None:
        """An artifact of a run; for small files."""

    def version_file(self, version: VersionRecord, path: str) -> bytes | None:
        """A file beside a registered model; for small files."""


def open_reader(uri: str) -> Reader:
    """A reader of the store at `uri`.

    Raises:
        EngineError: nothing answers there, known within seconds.
        ConfigError: a URI of a kind that is not known.
    """
    check(uri)
    if uri.startswith(("http://", "https://")):
        from headrace.tracking.rest import RestReader

        return RestReader(uri)
    from headrace.tracking.database import DatabaseReader

    prepare(uri)
    return DatabaseReader(uri)
