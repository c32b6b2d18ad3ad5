"""Read the tables of an MLflow database: SQLite or PostgreSQL, of the schema that the installed MLflow writes."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import ConfigError, EngineError
from headrace.settings import POSTGRES
from headrace.tracking.reading import RunRecord, VersionRecord
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.store import absent, service_errors, sqlite_path

CONNECT_S = 3
LOCKED_S = 5.0


class DatabaseReader:
    """A `Reader` of an MLflow database."""

    def __init__(self, uri: str) -> None:
        self._uri, self._path = uri, sqlite_path(uri)
        if self._path is None and not uri.startswith(f"{POSTGRES}://"):
            raise ConfigError(
                f"MLFLOW_TRACKING_URI is '{strip_secrets(uri)}', which cannot be read here. Known: sqlite:///, postgresql://, http(s)://."
            )

    def run(self, run_id: str) -> RunRecord | None:
        """A run by its id."""
        rows = self._rows("SELECT name, status, start_time, end_time, artifact_uri FROM runs WHERE run_uuid = ?", run_id)
        if not rows:
            return None
        name, status, started, ended, artifacts = rows[0]
        return RunRecord(
            run_id=run_id,
            name=name or "",
            status=status or "",
            started=started,
            ended=ended,
            artifacts=artifacts or "",
            tags=dict(self._rows("SELECT key, value FROM tags WHERE run_uuid = ?", run_id)),
            params=dict(self._rows("SELECT key, value FROM params WHERE run_uuid = ?", run_id)),
            metrics={
                key: float("nan") if is_nan else float(value)
                for key, value, is_nan in self._rows("SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?", run_id)
            },
            inputs=dict(
                self._rows(
                    "SELECT d.name, d.digest FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id "
                    "WHERE i.source_type = 'DATASET' AND i.destination_id = ?",
                    run_id,
                )
            ),
        )

    def version(self, model: str, number: int) -> VersionRecord | None:
        """A version with its aliases and tags."""
        where = "WHERE name = ? AND version = ?"
        rows = self._rows(
            f"SELECT run_id, creation_time, storage_location, source FROM model_versions {where} "  # noqa: S608  # no value in it
            "AND current_stage != 'Deleted_Internal'",
            model,
            number,
        )
        if not rows:
            return None
        run_id, created, location, source = rows[0]
        return VersionRecord(
            model=model,
            version=number,
            run_id=run_id or "",
            created=created,
            source=location or source or "",
            aliases=tuple(
                sorted(alias for (alias,) in self._rows(f"SELECT alias FROM registered_model_aliases {where}", model, number))  # noqa: S608  # as above
            ),
            tags=dict(self._rows(f"SELECT key, value FROM model_version_tags {where}", model, number)),  # noqa: S608  # as above
        )

    def alias(self, model: str, alias: str) -> int | None:
        """The version that an alias names."""
        rows = self._rows("SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", model, alias)
        return int(rows[0][0]) if rows else None

    def versions(self, model: str) -> list[int]:
        """Numbers of all versions, ascending."""
        rows = self._rows("SELECT version FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal'", model)
        return sorted(int(number) for (number,) in rows)

    def models(self) -> list[str]:
        """Names of registered models."""
        return [name for (name,) in self._rows("SELECT name FROM registered_models ORDER BY name LIMIT 20")]

    def run_file(self, run: RunRecord, path: str) -> bytes | None:
        """An artifact of a run."""
        return self._file(run.artifacts, path)

    def version_file(self, version: VersionRecord, path: str) -> bytes | None:
        """A file beside a registered model."""
        return self._file(version.source, path)

    def _file(self, root: str, path: str) -> bytes | None:
        parts = urlsplit(root)
        if parts.scheme in ("", "file"):
            local = Path(unquote(parts.path)) / path
            return local.read_bytes() if local.is_file() else None
        # A bucket: MLflow's own client knows how, at the price of its import.
        with service_errors(self._uri), tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
            import mlflow.artifacts

            folder = path.rpartition("/")[0]
            listed = mlflow.artifacts.list_artifacts(artifact_uri=f"{root}/{folder}", tracking_uri=self._uri)
            if path.rpartition("/")[2] not in {each.path.rpartition("/")[2] for each in listed}:
                return None
            got = mlflow.artifacts.download_artifacts(artifact_uri=f"{root}/{path}", dst_path=temporary, tracking_uri=self._uri)
            return Path(got).read_bytes()

    def _rows(self, query: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        if self._path is not None:
            try:
                with contextlib.closing(sqlite3.connect(self._path, timeout=LOCKED_S)) as database:
                    return database.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise EngineError(absent(self._uri, str(error))) from None
        import psycopg

        try:
            with psycopg.connect(self._uri.replace("+psycopg", "", 1), connect_timeout=CONNECT_S) as database:
                return database.execute(query.replace("?", "%s"), values).fetchall()
        except psycopg.Error as error:
            raise EngineError(absent(self._uri, strip_secrets(" ".join(str(error).split())[:200]))) from None
