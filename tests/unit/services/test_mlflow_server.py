"""MLflow's server as data: where artifacts go, which database, what its command line shows."""

from dataclasses import astuple
from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.services.credentials import read_or_make
from headrace.services.mlflow_server import artifacts, database_url, service
from headrace.settings import WORKLOAD_IDENTITY, Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(project=tmp_path, home=tmp_path / "home")


def own(settings: Settings) -> Path:
    return settings.services_folder / "mlflow" / "artifacts"


def test_artifacts_go_to_the_bucket_where_there_is_one(settings: Settings) -> None:
    assert artifacts(settings, "", object_store=True) == "s3://mlflow"
    assert artifacts(settings, "", object_store=False) == str(own(settings))


def test_artifacts_stay_where_the_first_ones_went(settings: Settings) -> None:
    """Runs name them by a path inside the destination: with another one they would all be gone."""
    own(settings).mkdir(parents=True)
    (own(settings) / "1").mkdir()

    assert artifacts(settings, str(own(settings)), object_store=True) == str(own(settings))
    assert artifacts(settings, "s3://mlflow", object_store=False) == "s3://mlflow"


def test_an_empty_folder_gives_way_to_the_bucket(settings: Settings) -> None:
    own(settings).mkdir(parents=True)

    assert artifacts(settings, str(own(settings)), object_store=True) == "s3://mlflow"


def test_the_setting_is_stronger(settings: Settings) -> None:
    chosen = settings.model_copy(update={"mlflow_artifacts": "s3://team/runs"})

    assert artifacts(chosen, "s3://mlflow", object_store=True) == "s3://team/runs"


def test_a_database_of_a_kind_that_was_not_tried_is_refused_without_its_password(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, home=tmp_path / "home", mlflow_database="mysql://user:canary@host/db")

    with pytest.raises(ConfigError, match="HEADRACE_MLFLOW_DATABASE is mysql") as refused:
        database_url(settings)

    assert "canary" not in str(refused.value)


def test_the_command_line_has_no_secret_and_one_address(tmp_path: Path) -> None:
    """Everybody on the machine can read it."""
    settings = Settings(project=tmp_path, home=tmp_path / "home", mlflow_database="postgresql://user:canary@host/db")
    settings.services_folder.mkdir(parents=True)
    secret = read_or_make(settings.services_folder)

    made = service(settings, secret, port=5000, destination="s3://mlflow", store_url="http://127.0.0.1:9000")

    assert "canary" not in " ".join(made.command)
    assert not any(each in " ".join(made.command) for each in astuple(secret))
    assert not any(each in repr(made) for each in (*astuple(secret), "canary"))
    assert made.command[made.command.index("--host") + 1] == "127.0.0.1"
    assert made.variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_the_users_own_bucket_gets_the_users_own_keys(settings: Settings) -> None:
    settings.services_folder.mkdir(parents=True)

    made = service(settings, read_or_make(settings.services_folder), port=5000, destination="s3://team/runs", store_url=None)

    assert made.inherits == ("AWS_",)
    assert not any(name.startswith("AWS_") for name in made.variables)


def test_keys_and_server_of_env_reach_it_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same settings configure our client, DVC's remote and MLflow: a file that only two of them read would split a team's data."""
    for name in WORKLOAD_IDENTITY:
        monkeypatch.delenv(name, raising=False)
    (settings.project / ".env").write_text(
        "AWS_ENDPOINT_URL_S3=https://s3.example.com\nAWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=canary\n"
    )
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    read = load_settings(settings.project).model_copy(update={"home": settings.home})
    read.services_folder.mkdir(parents=True)

    made = service(read, read_or_make(read.services_folder), port=5000, destination="s3://team/runs", store_url=None)

    assert made.variables["MLFLOW_S3_ENDPOINT_URL"] == made.variables["AWS_ENDPOINT_URL_S3"] == "https://s3.example.com"
    assert made.variables["AWS_SECRET_ACCESS_KEY"] == "canary"
    assert "canary" not in " ".join(made.command)
