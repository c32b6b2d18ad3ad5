"""`headrace up` where it cannot: one sentence that says why and what to do, and nothing left running."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.projects import BIN, wait_until
from tests.services import free_port

from headrace.services.inventory import ORDER
from headrace.services.service import survivors

LIMIT_S = 120


def environment(home: Path, **variables: str) -> dict[str, str]:
    ports = {
        f"HEADRACE_{name}_PORT": str(free_port(width)) for name, width in (("MLFLOW", 1), ("PREFECT", 1), ("OBJECT_STORE", 4))
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_API"))}
    return {**kept, **ports, "HEADRACE_HOME": str(home), "PYTHONUNBUFFERED": "1", **variables}


def up(home: Path, *arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    home.parent.joinpath("project").mkdir(exist_ok=True)
    command = [BIN / "headrace", "-C", str(home.parent / "project"), "up", "--detach", *arguments]
    shell = ["sh", "-c", f'{before}; exec "$@"', "sh"] if before else []
    return subprocess.run(
        [*shell, *command], env=environment(home, **variables), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def nothing_runs(home: Path) -> bool:
    return not any(survivors(home / "services", name) for name in ORDER)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["MLFLOW", "PREFECT", "OBJECT_STORE"])
def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path, name: str) -> None:
    """With the process that holds it, and the setting that chooses another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = up(tmp_path / "home", "--object-store", **{f"HEADRACE_{name}_PORT": str(port)})

    assert done.returncode == 2
    assert f"port {port} of {name.lower().replace('_', '-')} is in use by process {os.getpid()}" in done.stderr
    assert f"HEADRACE_{name}_PORT=" in done.stderr
    assert nothing_runs(tmp_path / "home")


@pytest.mark.fault
def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    """Every write fails, as on a full disk: no half file is left, and nothing runs."""
    done = up(tmp_path / "home", before="ulimit -f 0")

    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "HEADRACE_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_runs(tmp_path / "home")


@pytest.mark.fault
def test_a_state_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Refused by the file system, for root as well."""
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    (tmp_path / "project").mkdir()

    done = subprocess.run(
        [BIN / "headrace", "-C", str(tmp_path / "project"), "up", "-d"], env=environment(home), capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert f"{home}" in done.stderr
    assert "cannot be written: Not a directory" in done.stderr


@pytest.mark.fault
def test_a_damaged_state_file_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "services"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{ half")

    done = up(tmp_path / "home")

    assert done.returncode == 2
    assert f"{folder / 'state.json'} is damaged" in done.stderr


@pytest.mark.fault
def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://somebody:canary-password@127.0.0.1:{free_port()}/mlflow"

    done = up(tmp_path / "home", HEADRACE_MLFLOW_DATABASE=url)

    assert done.returncode == 8, done.stderr
    assert "postgresql+psycopg://127.0.0.1" in done.stderr
    assert "cannot be used: connection failed" in done.stderr
    assert "canary-password" not in done.stdout + done.stderr
    assert nothing_runs(tmp_path / "home")


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    done = up(tmp_path / "home", HEADRACE_MLFLOW_DATABASE="mysql://somebody:canary-password@host/db")

    assert done.returncode == 2
    assert "HEADRACE_MLFLOW_DATABASE is mysql:..." in done.stderr
    assert "canary-password" not in done.stdout + done.stderr


def test_ps_and_down_of_a_project_without_services_say_so(tmp_path: Path) -> None:
    for command, said in ((["ps"], "no services yet"), (["down"], "no service was running"), (["ps", "--json"], "[]")):
        done = subprocess.run(
            [BIN / "headrace", "-C", str(tmp_path), *command], env=environment(tmp_path / "home"), capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip

        assert (done.returncode, said in done.stdout) == (0, True), done.stderr


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """The person changed their mind: half of the servers in the background would be a surprise."""
    (tmp_path / "project").mkdir()
    home = tmp_path / "home"
    process = subprocess.Popen(
        [BIN / "headrace", "-C", str(tmp_path / "project"), "up"], env=environment(home), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: not nothing_runs(home), what="the first server", timeout_s=60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 130, said
    assert nothing_runs(home)
    assert json.loads((home / "services" / "state.json").read_text())["in_use"] is False
