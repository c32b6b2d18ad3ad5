"""Open the MLflow store: its database ready, its experiment there, its absence found in seconds.

MLflow is imported inside functions: preparing a database that is ready costs a stat, and a no-op run must not pay for the import.
"""

import contextlib
import importlib.metadata
import logging
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import ConfigError, EngineError
from headrace.storage.locks import file_lock
from headrace.tracking.secrets import strip_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMA = Path(__file__).parent / "schema"
"""`mlflow-<version>.sql`: what MLflow's migrations make of an empty file; written by `python -m headrace.tracking.store`."""

MIGRATION_LIMIT_S = 300

DATABASE_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
"""Database servers by the first part of their URL, and the port where it names none."""


def prepare(uri: str) -> None:
    """Make the database behind a SQLite URI exist with MLflow's current schema; any number of processes may call it at once.

    MLflow migrates on first use without a lock that holds: eight processes on a fresh file killed seven of them. What is not
    SQLite is left to its server.

    Raises:
        ConfigError: the file is not a database.
        EngineError: it cannot be written, or MLflow's migration failed; the file is as it was before, in `<file>.before-<version>`.
    """
    path = sqlite_path(uri)
    if path is None or _is_marked(path):
        return
    try:
        _make_ready(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise EngineError(absent(uri, str(error))) from None


def _make_ready(path: Path) -> None:
    with file_lock(path.with_name(path.name + ".lock")):
        if _is_marked(path):
            return
        if not path.exists() or path.stat().st_size == 0:
            _create(path)
        elif _revision(path) != _shipped_revision():
            shutil.copyfile(path, path.with_name(f"{path.name}.before-{_version()}"))
            _migrate(path)
        _marker(path).write_text(_mark(path), encoding="utf-8")


def sqlite_path(uri: str) -> Path | None:
    """The file behind a `sqlite:///` URI; None for a server or another database."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix).split("?")[0]) if uri.startswith(prefix) else None


def check(uri: str, *, timeout_s: float = 3.0) -> None:
    """Ask a server whether it is there; a database file needs no asking.

    Of a database server only its port is tried: MLflow itself would try for 100 s, and print each time.

    Raises:
        EngineError: no answer within `timeout_s`, or an answer that is not MLflow's.
    """
    if not uri.startswith(("http://", "https://")):
        _check_port(uri, timeout_s)
        return
    try:
        with urllib.request.urlopen(f"{strip_secrets(uri).rstrip('/')}/health", timeout=timeout_s) as answer:  # noqa: S310  # http(s) only, see above
            healthy = answer.read(16).strip() == b"OK"
    except urllib.error.HTTPError as error:
        # A proxy that asks for credentials stands before a server that is there: MLflow's client brings them.
        healthy = error.code in {401, 403}
    except OSError as error:
        raise EngineError(absent(uri, str(getattr(error, "reason", error)))) from None
    if not healthy:
        raise EngineError(absent(uri, "what answers there is not MLflow"))


def _check_port(uri: str, timeout_s: float) -> None:
    kind = uri.partition("+")[0].partition(":")[0]
    if kind not in DATABASE_PORTS:
        return
    try:
        parts = urllib.parse.urlsplit(uri)
        where = (parts.hostname, parts.port or DATABASE_PORTS[kind])
    except ValueError:
        raise ConfigError(f"MLFLOW_TRACKING_URI is '{strip_secrets(uri)}', which is no URL.") from None
    if not where[0]:
        return  # a socket on this machine, named after the question mark
    try:
        socket.create_connection((where[0], where[1]), timeout=timeout_s).close()
    except OSError as error:
        raise EngineError(absent(uri, str(error))) from None


def connect(uri: str) -> "MlflowClient":
    """A client of tracking and registry at `uri`, with the database ready.

    Raises:
        ConfigError: a URI MLflow does not know.
        EngineError: the store does not answer.
    """
    prepare(uri)
    with service_errors(uri):
        from mlflow import MlflowClient

        # It prints, with its trace, what it raises as well.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: "MlflowClient", name: str, artifact_location: str | None = None) -> str:
    """Id of the experiment called `name`, made if there is none; of two that make it at once, one wins and both get it.

    Args:
        client: of the store.
        name: of the experiment.
        artifact_location: where a new experiment's artifacts go; None leaves it to the server.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


@contextlib.contextmanager
def service_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and its transports raise into EngineError with the store's name and the next step."""
    import requests
    import sqlalchemy
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

    try:
        yield
    except UnsupportedModelRegistryStoreURIException:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI is '{strip_secrets(uri)}', which MLflow does not know. Known: sqlite:///, postgresql://, http(s)://."
        ) from None
    except Exception as error:
        known = (requests.RequestException, sqlalchemy.exc.SQLAlchemyError, MlflowException, OSError)
        # Object stores raise what their client library defines; importing it to name the class would cost 0.3 s.
        if not isinstance(error, known) and type(error).__module__.partition(".")[0] not in {"botocore", "boto3", "urllib3"}:
            raise
        # SQLAlchemy adds the statement and a link to its manual.
        reason = re.split(r"\[SQL:|\(Background on", " ".join(str(error).split()))[0].strip()
        raise EngineError(absent(uri, strip_secrets(reason[:300]))) from error


def absent(uri: str, reason: str) -> str:
    """The message about a store that fails: which one, why, what to do."""
    path, remedy = sqlite_path(uri), "Start the server (`headrace up`, if it is the project's own) or mend MLFLOW_TRACKING_URI"
    if path is not None:
        free = f", which has {shutil.disk_usage(path.parent).free / 1e6:,.0f} MB free" if path.parent.is_dir() else ""
        remedy = f"Make room or give permission on its disk{free}, or mend MLFLOW_TRACKING_URI,"
    return (
        f"MLflow at {strip_secrets(uri)} failed: {reason}. {remedy} and run again; HEADRACE_TRACKING=false runs without it, and "
        "registers nothing."
    )


def _version() -> str:
    return importlib.metadata.version("mlflow")


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".ready")


def _mark(path: Path) -> str:
    # The inode tells a file that was put in place of the one we prepared.
    return f"mlflow {_version()} inode {path.stat().st_ino}\n"


def _is_marked(path: Path) -> bool:
    try:
        return _marker(path).read_text(encoding="utf-8") == _mark(path)
    except FileNotFoundError:
        return False


def _shipped() -> Path:
    return SCHEMA / f"mlflow-{_version()}.sql"


def _shipped_revision() -> str | None:
    if not _shipped().exists():
        return None
    found = re.search(r"INSERT INTO \"alembic_version\" VALUES\('(\w+)'\)", _shipped().read_text(encoding="utf-8"))
    return found.group(1) if found else None


def _revision(path: Path) -> str | None:
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{path} is not an SQLite database ({error}). Move it away, or point MLFLOW_TRACKING_URI elsewhere."
        ) from None
    return str(row[0]) if row else None


def _create(path: Path) -> None:
    """Put a database with the current schema in place: from the shipped schema in 0.1 s, else by MLflow's 60 migrations."""
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        if _shipped().exists():
            with contextlib.closing(sqlite3.connect(temporary)) as database:
                database.executescript(_shipped().read_text(encoding="utf-8"))
        else:
            _migrate(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _migrate(path: Path) -> None:
    # MLflow's own command, in a process of its own: the public way, and alembic changes logging of the process it runs in.
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MIGRATION_LIMIT_S)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EngineError(
            f"MLflow {_version()} could not migrate {path}: {reason[:300]}. Move the file away to start with an empty one."
        )


def write_schema() -> Path:
    """Write the schema of the installed MLflow for `prepare`, from a file its migrations made."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "mlflow.db"
        _migrate(made)
        with contextlib.closing(sqlite3.connect(made)) as database:
            script = "\n".join(database.iterdump()) + "\n"
    SCHEMA.mkdir(exist_ok=True)
    _shipped().write_text(script, encoding="utf-8")
    return _shipped()


if __name__ == "__main__":
    sys.stdout.write(f"{write_schema()}\n")
