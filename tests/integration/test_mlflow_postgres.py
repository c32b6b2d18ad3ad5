"""MLflow's server as `headrace up` prepares and starts it, with its runs in a real PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.postgres import Postgres
from tests.services import free_port

from headrace.services import mlflow_server
from headrace.services.asking import ask
from headrace.services.credentials import USER, read_or_make
from headrace.services.mlflow_server import database_url
from headrace.services.operations import private_files
from headrace.services.service import end, log_path, start, wait_ready
from headrace.settings import Settings


@pytest.fixture
def settings(postgres_server: Postgres, tmp_path: Path) -> Settings:
    url = postgres_server.url(postgres_server.make_database(), password=True)
    return Settings(project=tmp_path, home=tmp_path / "home", mlflow_database=url)


@pytest.fixture
def call(settings: Settings) -> Iterator[Callable[[str, dict[str, Any]], tuple[int, bytes]]]:
    """Prepare and start the server; a function that asks it."""
    folder, port = settings.services_folder, free_port()
    with private_files():
        folder.mkdir(parents=True)
        secret = read_or_make(folder)
        mlflow_server.prepare(settings, secret)
        destination = mlflow_server.artifacts(settings, "", object_store=False)
        server = mlflow_server.service(settings, secret, port=port, destination=destination, store_url=None)
        started = start(server, folder)
    try:
        wait_ready(server, started, folder)
        api, login = f"http://127.0.0.1:{port}/api/2.0/mlflow", (USER, secret.mlflow_password)
        yield lambda path, body: ask(f"{api}/{path}", method="POST", json_body=body, login=login, timeout_s=30)
    finally:
        end(folder, mlflow_server.NAME, started)


def test_runs_are_in_postgresql(
    settings: Settings, call: Callable[[str, dict[str, Any]], tuple[int, bytes]], postgres_server: Postgres
) -> None:
    """What a team uses: migrated before the server starts, and the password in no file and no log."""
    assert call("runs/create", {"experiment_id": "0", "run_name": "kept"})[0] == 200

    database = database_url(settings).rpartition("/")[2]
    with psycopg.connect(postgres_server.url(database, password=True)) as connection:
        assert connection.execute("select name from runs").fetchall() == [("kept",)]
    files = [path for path in settings.services_folder.rglob("*") if path.is_file()]
    assert log_path(settings.services_folder, mlflow_server.NAME) in files
    assert not [path for path in files if postgres_server.password.encode() in path.read_bytes()]
    assert not (settings.services_folder / "mlflow" / "mlflow.db").exists()
