"""Secrets: made once, private, absent from what Python shows."""

import stat
from dataclasses import astuple
from pathlib import Path

from headrace.services.credentials import FILE, is_open, read_or_make, write


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second `up` with other passwords would lock out every client of the first."""
    first = read_or_make(tmp_path)

    assert read_or_make(tmp_path) == first
    assert len(set(astuple(first))) == len(astuple(first))
    assert all(len(secret) >= 32 for secret in astuple(first))


def test_the_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    read_or_make(tmp_path)

    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_file_that_was_opened_to_others_is_closed(tmp_path: Path) -> None:
    read_or_make(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    assert is_open(tmp_path)

    read_or_make(tmp_path)

    assert not is_open(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_secret_that_is_missing_is_made_and_the_others_stay(tmp_path: Path) -> None:
    """A later version of Headrace needs one more."""
    first = read_or_make(tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text("".join(line for line in text.splitlines(keepends=True) if "FLASK" not in line))

    second = read_or_make(tmp_path)

    assert second.digest != first.digest
    assert second.mlflow_password == first.mlflow_password
    assert second.flask_key not in ("", first.flask_key)


def test_urls_are_written_and_secrets_stay(tmp_path: Path) -> None:
    """Clients read one file."""
    secret = read_or_make(tmp_path)
    write(tmp_path, secret, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"})

    text = (tmp_path / FILE).read_text()

    assert "MLFLOW_TRACKING_URI=http://127.0.0.1:5000\n" in text
    assert f"PREFECT_API_AUTH_STRING=headrace:{secret.prefect_password}\n" in text
    assert read_or_make(tmp_path) == secret


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    """A traceback or a log line that prints the object must not print them."""
    secret = read_or_make(tmp_path)

    shown = f"{secret!r} {secret}"

    assert not any(each in shown for each in astuple(secret))
