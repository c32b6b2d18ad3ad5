"""Settings: how the services of `headrace up` are found, and when not."""

import os
from pathlib import Path

import pytest

from headrace.services import state
from headrace.services.credentials import read_or_make, write
from headrace.services.state import State
from headrace.settings import HUB, Settings, load_settings, prepare_process
from headrace.variables import child_environment

URLS = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5123",
    "PREFECT_API_URL": "http://127.0.0.1:4123/api",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9123",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose services are in use."""
    home = tmp_path / "home"
    monkeypatch.setenv("HEADRACE_HOME", str(home))
    folder = home / "services"
    folder.mkdir(parents=True)
    write(folder, read_or_make(folder), URLS)
    state.write(folder, State(in_use=True))
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_running_services_are_used(project: Path) -> None:
    settings = load_settings(project)

    assert settings.tracking_uri == URLS["MLFLOW_TRACKING_URI"]
    assert settings.prefect_api_url == URLS["PREFECT_API_URL"]
    assert settings.client_variables["PREFECT_API_AUTH_STRING"].startswith("headrace:")
    assert settings.client_variables.keys() == {
        "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING",
    }  # fmt: skip


def test_after_down_the_embedded_stores_are_used(project: Path) -> None:
    state.write(project.parent / "home" / "services", State(in_use=False))

    settings = load_settings(project)

    assert settings.tracking_uri.startswith("sqlite:")
    assert settings.prefect_api_url is None
    assert settings.client_variables == {}


def test_services_can_be_switched_off(project: Path) -> None:
    (project / ".env").write_text("HEADRACE_SERVICES=false\n")

    assert load_settings(project).tracking_uri.startswith("sqlite:")


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_password_goes_to_no_other_server(project: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is the user's, so the password of ours has no business there."""
    if where == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    else:
        (project / ".env").write_text("MLFLOW_TRACKING_URI=https://mlflow.example\n")

    settings = load_settings(project)

    assert settings.tracking_uri == "https://mlflow.example"
    assert not any(name.startswith("MLFLOW") for name in settings.client_variables)
    assert settings.prefect_api_url == URLS["PREFECT_API_URL"]


def test_own_services_are_no_shared_registry(project: Path) -> None:
    """They are this user's, as the SQLite file was: any branch may register."""
    assert not load_settings(project).is_shared_registry
    assert load_settings(project).model_copy(update={"mlflow_tracking_uri": "https://mlflow.example"}).is_shared_registry


def test_credentials_do_not_show_in_settings(project: Path) -> None:
    settings = load_settings(project)
    password = settings.client_variables["MLFLOW_TRACKING_PASSWORD"]

    assert password not in repr(settings)
    assert password not in settings.model_dump_json()


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of our servers named; what prepare_process sets is taken back with the rest of the environment."""
    for name in list(os.environ):
        monkeypatch.setenv(name, os.environ[name])
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_URL",
                 "PREFECT_API_AUTH_STRING"):  # fmt: skip
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_url_means_the_driver_that_we_bring(project: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy 2.0 would ask for psycopg2, which nobody has installed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@host/db")
    monkeypatch.setenv("HEADRACE_MLFLOW_DATABASE", f"{scheme}://me:secret@host/db")

    settings = load_settings(project)
    prepare_process(settings)

    assert settings.tracking_uri == "postgresql+psycopg://me:secret@host/db"
    assert settings.mlflow_database is not None
    assert settings.mlflow_database.get_secret_value() == "postgresql+psycopg://me:secret@host/db"
    assert child_environment()["MLFLOW_TRACKING_URI"] == "postgresql+psycopg://me:secret@host/db"


@pytest.mark.usefixtures("own_environment")
def test_children_get_the_credentials(project: Path) -> None:
    prepare_process(load_settings(project))

    assert child_environment()["MLFLOW_TRACKING_URI"] == URLS["MLFLOW_TRACKING_URI"]
    assert child_environment()["PREFECT_API_AUTH_STRING"].startswith("headrace:")


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_damaged_state_file_does_not_stop_other_commands(project: Path, text: str) -> None:
    """`up` and `ps` say what is wrong with it; `lint` has no need of it."""
    (project.parent / "home" / "services" / "state.json").write_text(text)

    assert load_settings(project).tracking_uri.startswith("sqlite:")


def test_a_child_environment_can_leave_names_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_X", "1")

    assert "MLFLOW_X" not in child_environment(without=("MLFLOW_",))
    assert child_environment(MLFLOW_Y="2")["MLFLOW_Y"] == "2"
    assert isinstance(Settings().services_folder, Path)


def test_variables_of_other_programs_are_not_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HUB and PROJECT mean something else to many a Makefile, and a token among them is not for us."""
    for name in ("PROJECT", "HUB", "HUB_TOKEN", "S3_ENDPOINT", "S3_SECRET_KEY"):
        monkeypatch.setenv(name, "theirs")

    settings = Settings()

    assert settings.project == Path.cwd()
    assert settings.hub == HUB
    assert settings.hub_token is None
    assert settings.s3_endpoint != "theirs"
    assert settings.s3_secret_key is None or settings.s3_secret_key.get_secret_value() != "theirs"
