"""`headrace up` with its MLflow server's runs in a real PostgreSQL."""

from pathlib import Path

import psycopg
import pytest
from tests.postgres import Postgres
from tests.sites import ended, make_site

from headrace.services.asking import ask
from headrace.services.credentials import USER
from headrace.services.probes import probes
from headrace.services.service import log_path
from headrace.settings import load_settings


def test_a_project_comes_up_and_goes_down_on_postgresql(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a team uses: migrated before the server starts, proved by doctor, and the password in no file and no log."""
    database = postgres_server.make_database()
    url = postgres_server.url(database, password=True)
    assert url.startswith("postgresql://"), "as a user writes it: the driver is ours to name"
    site = make_site(tmp_path, HEADRACE_MLFLOW_DATABASE=url)
    monkeypatch.setenv("HEADRACE_HOME", str(site.home))
    monkeypatch.setenv("HEADRACE_MLFLOW_DATABASE", url)
    with ended(site):
        site.headrace("up", "--detach")
        proved = {name: prove() for name, prove in probes(load_settings(site.project))}
        made = ask(
            f"{site.client_environment['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/runs/create",
            method="POST", json_body={"experiment_id": "0", "run_name": "kept"}, login=(USER, site.secrets.mlflow_password), timeout_s=60,
        )  # fmt: skip
        lines = site.command_lines()

    assert list(proved) == ["mlflow", "prefect", "worker"]
    assert made[0] == 200
    with psycopg.connect(url) as connection:
        assert connection.execute("select name from runs").fetchall() == [("kept",)]
    files = [path for path in site.home.rglob("*") if path.is_file()]
    assert log_path(site.services, "mlflow") in files
    assert not [path for path in files if postgres_server.password.encode() in path.read_bytes()]
    assert not [line for line in lines if postgres_server.password in line]
    assert not (site.services / "mlflow" / "mlflow.db").exists()
