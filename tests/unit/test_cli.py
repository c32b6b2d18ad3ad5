"""The command line beside a run at work, and what it says to a slip of the finger."""

import os
import subprocess
import sys

import pytest

from headrace.flow.workspace import hold_workspace


@pytest.fixture
def project(tmp_path):
    """As little as the commands under test need."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("other: {a: 1}\n")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "big.yaml").write_text("other: {a: 2}\n")
    return tmp_path


def headrace(project, *arguments):
    command = [sys.executable, "-c", "from headrace.cli.main import main; main()", "-C", str(project), *arguments]
    environment = {**os.environ, "HEADRACE_HOME": str(project / "home")}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_status_answers_while_a_run_is_at_work(project):
    """That is when somebody asks; DVC's locks would give an error instead."""
    with hold_workspace(project / ".headrace"):
        ended = headrace(project, "status")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"process {os.getpid()} has been running")


@pytest.mark.fault
@pytest.mark.parametrize("command", [("why", "train"), ("run", "--dry-run"), ("recipe", "use", "big", "--force")], ids=" ".join)
def test_what_a_run_at_work_would_make_untrue_waits_for_it(project, command):
    """A recipe changed under a run would be read by half of its stages."""
    with hold_workspace(project / ".headrace"):
        ended = headrace(project, *command)

    assert ended.returncode == 5
    assert f"process {os.getpid()}" in ended.stderr
    assert (project / "params.yaml").read_text() == "other: {a: 1}\n"


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("ui", "--port", "99999"), "less than or equal to 65535"),
        (("promote", "--aprove"), "Possible options: --approve"),
        (("recipe", "use", "bgi"), "Did you mean 'big'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_slip_of_the_finger_is_the_users_and_has_a_way_out(project, command, message):
    """No stack trace, exit code 2."""
    ended = headrace(project, *command)

    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.badinput
@pytest.mark.parametrize("command", [("push",), ("run", "--dry-run"), ("lint",)], ids=" ".join)
def test_a_folder_that_is_not_there_is_named(tmp_path, command):
    """Not a remote, DVC or a file that it would have."""
    ended = headrace(tmp_path / "nowhere", *command)

    assert ended.returncode == 2
    assert ended.stderr == f"error: --project: there is no folder {tmp_path / 'nowhere'}.\n"


@pytest.mark.badinput
@pytest.mark.parametrize("command", [("push",), ("run", "--dry-run")], ids=" ".join)
def test_a_folder_without_a_project_is_called_that(tmp_path, command):
    """Somebody forgot to `cd`; a remote is not what is missing."""
    ended = headrace(tmp_path, *command)

    assert ended.returncode == 2
    assert "is no Headrace project" in ended.stderr
