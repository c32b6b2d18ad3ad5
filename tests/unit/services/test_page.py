"""The page of `up` and the table of `ps`: everything to know, no secret."""

from dataclasses import astuple
from pathlib import Path

import pytest

from headrace.services.credentials import read_or_make
from headrace.services.operations import Row
from headrace.services.page import page, table
from headrace.services.state import State
from headrace.settings import Settings

ROWS = [
    Row("object-store", "up", 10, 9000, "http://127.0.0.1:9000", "2026-01-01T00:00:00+00:00"),
    Row("mlflow", "up", 11, 5000, "http://127.0.0.1:5000", "2026-01-01T00:00:00+00:00"),
    Row("prefect", "silent", 12, 4200, "http://127.0.0.1:4200", "2026-01-01T00:00:00+00:00"),
    Row("worker", "down", None, None, "", ""),
]
KNOWN = State(
    in_use=True, object_store=True, artifacts="s3://mlflow", ports={"mlflow": 5000, "prefect": 4200, "object-store": 9000}
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(project=tmp_path, home=tmp_path / "home")


def test_the_page_tells_urls_login_logs_and_how_to_stop(settings: Settings) -> None:
    text = page(settings, ROWS, KNOWN, is_held=True)

    for told in (
        "http://127.0.0.1:5000",
        "http://127.0.0.1:4200",
        "http://127.0.0.1:9000",
        "credentials.env",
        "headrace logs",
        "Ctrl-C",
    ):
        assert told in text


def test_the_page_prints_no_secret(settings: Settings) -> None:
    """It ends up in scrollback, screenshots and CI logs."""
    settings.services_folder.mkdir(parents=True)
    secret = read_or_make(settings.services_folder)

    text = page(settings, ROWS, KNOWN, is_held=False)

    assert not any(each in text for each in astuple(secret))


def test_the_page_fits_a_screen(settings: Settings) -> None:
    assert len(page(settings, ROWS, KNOWN, is_held=True).splitlines()) <= 24


def test_the_page_says_whether_other_servers_are_used(tmp_path: Path) -> None:
    """A setting that is stronger than `up` would otherwise make it look broken."""
    elsewhere = Settings(project=tmp_path, home=tmp_path / "home", mlflow_tracking_uri="https://mlflow.example")
    off = Settings(project=tmp_path, home=tmp_path / "home", services=False)

    assert "MLFLOW_TRACKING_URI of the environment or .env name other servers" in page(elsewhere, ROWS, KNOWN, is_held=False)
    assert "HEADRACE_SERVICES is false" in page(off, ROWS, KNOWN, is_held=False)


def test_the_table_has_a_line_for_each_service() -> None:
    lines = table(ROWS).splitlines()

    assert lines[0].split() == ["NAME", "STATE", "PID", "PORT", "URL", "SINCE"]
    assert [line.split()[:4] for line in lines[1:]] == [
        ["object-store", "up", "10", "9000"],
        ["mlflow", "up", "11", "5000"],
        ["prefect", "silent", "12", "4200"],
        ["worker", "down", "-", "-"],
    ]
