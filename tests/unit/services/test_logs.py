"""`headrace logs`: whole lines, the last ones, no password."""

from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.services.credentials import read_or_make
from headrace.services.logs import lines
from headrace.services.service import log_path
from headrace.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(project=tmp_path, home=tmp_path / "home")
    log_path(made.services_folder, "mlflow").parent.mkdir(parents=True)
    return made


def test_the_last_lines_are_shown(settings: Settings) -> None:
    log_path(settings.services_folder, "mlflow").write_text("".join(f"line {number}\n" for number in range(100)))

    assert list(lines(settings, "mlflow", last=2, follow=False)) == ["line 98", "line 99"]


def test_several_services_are_told_apart(settings: Settings) -> None:
    for name in ("mlflow", "worker"):
        log_path(settings.services_folder, name).write_text(f"from {name}\n")

    shown = list(lines(settings, None, last=5, follow=False))

    assert shown == ["mlflow       | from mlflow", "worker       | from worker"]


def test_a_password_that_a_server_printed_is_masked(settings: Settings) -> None:
    secret = read_or_make(settings.services_folder)
    log_path(settings.services_folder, "mlflow").write_text(f"admin password {secret.mlflow_password}\n")

    assert list(lines(settings, "mlflow", last=5, follow=False)) == ["admin password ***"]


def test_following_shows_what_is_added_and_a_new_file(settings: Settings) -> None:
    """A log that has grown long is put aside and begins anew."""
    path = log_path(settings.services_folder, "mlflow")
    path.write_text("first line of a long log\n")
    following = lines(settings, "mlflow", last=5, follow=True)

    shown = [next(following)]
    with path.open("a") as log:
        log.write("second\n")
    shown.append(next(following))
    path.write_text("third\n")
    shown.append(next(following))

    assert shown == ["first line of a long log", "second", "third"]


@pytest.mark.parametrize(
    ("name", "said"), [("mlfow", "there is no service 'mlfow'"), ("prefect", "no log yet"), (None, "log yet")]
)
def test_a_log_that_is_not_there_is_told(settings: Settings, name: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        next(lines(settings, name, last=5, follow=False))
