"""A database, asked read-only and in one snapshot. SQLite files and PostgreSQL servers, through SQLAlchemy."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy
from pydantic import SecretStr
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from headrace.errors import ConfigError, EngineError, SourceError
from headrace.settings import POSTGRES, load_settings, sql_password_variable
from headrace.sources.hosts import named_hosts, public_addresses
from headrace.sources.places import Places
from headrace.sources.spec import Sql
from headrace.tracking.secrets import strip_secrets

CONNECT_LIMIT_S = 10
FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 8.0
LONG_TRIES = 3
"""How often a query that takes longer than the budget is asked."""
ROWS_AT_ONCE = 2_000

PASSING = ("08", "53", "57P", "40")
"""Beginnings of SQLSTATE codes that may be gone at the next try: connection, too many of them, shutdown, conflict with a writer."""
PASSING_WORDS = ("starting up", "shutting down", "too many clients", "connection slots", "recovery", "database is locked")
LASTING_WORDS = ("FATAL", "password", "certificate", "SSL was required", "does not support SSL", "root.crt")
"""What no other try will change: said by the server, or about keys and certificates."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """Where a source's rows are, and how to get in."""

    source: Sql
    engine: Engine
    place: str
    """For messages: no user, no password."""
    secret: SecretStr | None
    budget_s: float

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One read-only transaction: everything asked in it is of one moment."""
        with self.engine.connect() as connection:
            if self.source.is_sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                connection.exec_driver_sql("SET TIME ZONE 'UTC'")
            yield connection

    def persist(self, act: Callable[[Connection], T]) -> T:
        """Act in a snapshot; what a restart or a crowd of the server spoils is tried again within the budget.

        Raises:
            SourceError: the database refuses the query.
            ConfigError: it refuses the user.
            EngineError: it did not answer within the budget.
        """
        spent, pause = 0.0, FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                with self.snapshot() as connection:
                    return act(connection)
            except DBAPIError as error:
                reason = self.told(error)
                if not _may_pass(error):
                    raise self._refused(error, reason) from None
            delay = pause * random.uniform(0.5, 1.0)
            # A query that broke after an hour may be asked again, but not for ever.
            spent += min(time.monotonic() - began, self.budget_s / LONG_TRIES) + delay
            if spent > self.budget_s:
                raise EngineError(
                    f"source '{self.source.name}': {self.place} failed for {self.budget_s:g} s; last: {reason}. Run the same command "
                    "again when it answers."
                )
            time.sleep(delay)
            pause = min(pause * 2, MAX_PAUSE_S)

    def told(self, error: DBAPIError) -> str:
        """What the database says, on one line and without a secret."""
        text = " ".join(str(error.orig).split())[:400].rstrip(". ")
        return strip_secrets(text.replace(self.secret.get_secret_value(), "***") if self.secret else text)

    def _refused(self, error: DBAPIError, reason: str) -> Exception:
        state = _state(error)
        where = f"source '{self.source.name}': {self.place}"
        if state.startswith(("28", "3D")) or _is_connecting(error):
            return ConfigError(
                f"{where} refuses the connection: {reason}. Check `url` in collect.sources and "
                f"{sql_password_variable(self.source.name)} (or HEADRACE_SQL_PASSWORD) in the environment or .env."
            )
        return SourceError(f"{where} refuses the query: {reason}. Correct `query` of the source in collect.sources.")


def open_database(source: Sql, places: Places) -> Database:
    """The database of a source, with the password of this machine. It is connected to when it is first asked.

    Raises:
        SourceError: its host is refused or unknown, or the file is not there.
        ConfigError: the driver is not installed.
    """
    settings = load_settings(places.project)
    if source.is_sqlite:
        path = places.project / source.url.removeprefix("sqlite:///")
        if not path.is_file():
            raise SourceError(f"source '{source.name}': there is no SQLite file {path}. Correct its url in collect.sources.")
        address = f"file:{quote(str(path.absolute()))}?mode=ro"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(address, uri=True, isolation_level=None, timeout=CONNECT_LIMIT_S)

        engine = sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
        return Database(source, engine, f"SQLite file {source.url.removeprefix('sqlite:///')}", None, places.budget_s)
    url = make_url(source.url).set(drivername=POSTGRES)
    secret = settings.password_of(source.name)
    try:
        engine = sqlalchemy.create_engine(
            url.set(password=secret.get_secret_value()) if secret else url,
            connect_args=_connect_arguments(source, url),
            poolclass=NullPool,
            hide_parameters=True,
        )
    except ImportError:
        raise ConfigError(
            f"source '{source.name}' is a PostgreSQL and its driver is missing: pip install 'headrace[postgres]'"
        ) from None
    place = f"PostgreSQL {url.host}{f':{url.port}' if url.port else ''}/{url.database}"
    return Database(source, engine, place, secret, places.budget_s)


def _connect_arguments(source: Sql, url: URL) -> dict[str, Any]:
    """What libpq is told: the address that was checked, so that a second look-up cannot give another."""
    # Nothing prepared: a pool in between (PgBouncer) gives each transaction another connection.
    found: dict[str, Any] = {"connect_timeout": CONNECT_LIMIT_S, "prepare_threshold": None}
    if "application_name" not in url.query:
        found["application_name"] = "headrace"
    host = url.host or ""
    if host in named_hosts([source.url]) | set(source.allow_hosts):
        return found
    addresses = public_addresses(host, url.port or 5432)
    if not addresses:
        raise SourceError(f"source '{source.name}': the host {host} has no address. Correct its url in collect.sources.")
    # One name for each address: libpq tries them in turn, and TLS verifies the name.
    return {**found, "host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}


def _may_pass(error: DBAPIError) -> bool:
    state, reason = _state(error), str(error.orig)
    if state:
        return state.startswith(PASSING)
    if any(words in reason for words in PASSING_WORDS):
        return True
    return _is_connecting(error) and not any(words in reason for words in LASTING_WORDS)


def _is_connecting(error: DBAPIError) -> bool:
    """Libpq gives no code for what happens before the server speaks: refused, reset, timed out."""
    return not _state(error) and type(error.orig).__module__.startswith("psycopg") and isinstance(error, OperationalError)


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
