"""The state file: what was written is read, what is damaged is told."""

import errno
from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.processes import ProcessId
from headrace.services import state
from headrace.services.state import FILE, Started, State

FULL = State(
    in_use=True,
    object_store=True,
    artifacts="s3://mlflow",
    ports={"mlflow": 5000},
    processes={"mlflow": Started(ProcessId(12, 1234.5), "2026-01-01T00:00:00+00:00")},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    state.write(tmp_path, FULL)

    assert state.read(tmp_path) == FULL


def test_a_project_without_services_has_an_empty_state(tmp_path: Path) -> None:
    assert state.read(tmp_path) == State()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99, "processes": {}}', '{"format": 1, "processes": {"a": 1}}'])
def test_a_damaged_file_is_told_and_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(ConfigError, match=r"is damaged .* Move it away"):
        state.read(tmp_path)


def test_a_process_is_forgotten(tmp_path: Path) -> None:
    assert FULL.with_process("mlflow", None).processes == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, number: int) -> None:
    """Full disk, no permission, read-only file system."""
    with pytest.raises(ConfigError, match=r"cannot be written: .* HEADRACE_HOME"), state.writable(tmp_path):
        raise OSError(number, "reason", str(tmp_path / FILE))


def test_another_error_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), state.writable(tmp_path):
        raise BrokenPipeError
