"""Processes: private, found again after a kill, ended with everything they started."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.projects import wait_until

from headrace.errors import EngineError
from headrace.processes import ProcessId
from headrace.services.service import Service, end, log_path, start, survivors, tail, wait_ready

# Starts a child that would outlive it and ignores polite requests, says where it is, and sleeps.
STUBBORN = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"],
                         start_new_session=True)
open("child", "w").write(str(child.pid))
print("secretless line", flush=True)
time.sleep(600)
"""


def sleeper(code: str = STUBBORN, **options: object) -> Service:
    given = {"is_ready": lambda: True, "start_limit_s": 20.0, **options}
    return Service(name="sleeper", command=(sys.executable, "-c", code), **given)  # type: ignore[arg-type]


def child_of(folder: Path) -> ProcessId:
    path = folder / "sleeper" / "child"
    pid = int(wait_until(lambda: path.exists() and path.read_text(), what="the child"))
    found = ProcessId.of(pid)
    assert found is not None
    return found


def test_a_service_ends_with_its_children(tmp_path: Path) -> None:
    """Also with a child in a session of its own that does not listen to SIGTERM."""
    started = start(sleeper(), tmp_path)
    child = child_of(tmp_path)

    ended = end(tmp_path, "sleeper", started, grace_s=0.2)

    assert ended == 2
    assert not started.process.is_alive()
    assert not child.is_alive()


def test_a_child_of_a_killed_service_is_found_and_ended(tmp_path: Path) -> None:
    """It holds the port, and its parent is 1 now."""
    started = start(sleeper(), tmp_path)
    child = child_of(tmp_path)
    psutil.Process(started.process.pid).kill()
    wait_until(lambda: not started.process.is_alive(), what="the end of the service")

    assert survivors(tmp_path, "sleeper") == [child]
    assert end(tmp_path, "sleeper", started) == 1
    assert not child.is_alive()


def test_a_process_that_got_the_number_of_a_dead_one_is_left_alone(tmp_path: Path) -> None:
    """The stale pid in the state file may be anybody's by now."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    identity = ProcessId.of(bystander.pid)
    assert identity is not None
    stale = start(sleeper("pass"), tmp_path)
    wait_until(lambda: not survivors(tmp_path, "sleeper"), what="the end of the service")
    stale = type(stale)(ProcessId(bystander.pid, identity.started - 100), stale.since)

    ended = end(tmp_path, "sleeper", stale)

    assert ended == 0
    assert identity.is_alive()
    bystander.kill()
    bystander.wait(5)


def test_two_projects_do_not_end_each_others_services(tmp_path: Path) -> None:
    started = start(sleeper(), tmp_path / "a")

    assert end(tmp_path / "b", "sleeper", None) == 0
    assert started.process.is_alive()
    end(tmp_path / "a", "sleeper", started, grace_s=0.1)


def test_what_a_service_writes_is_private(tmp_path: Path) -> None:
    """Another user of the machine must not read logs, databases or artifacts."""
    started = start(sleeper(), tmp_path)
    child_of(tmp_path)

    mode = stat.S_IMODE((tmp_path / "sleeper" / "child").stat().st_mode)

    end(tmp_path, "sleeper", started, grace_s=0.1)
    assert mode & 0o077 == 0


def test_a_service_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    service = sleeper("raise SystemExit('no room for the database')", is_ready=lambda: False)

    with pytest.raises(EngineError) as refused:
        wait_ready(service, start(service, tmp_path), tmp_path)

    assert "ended while it started" in str(refused.value)
    assert "no room for the database" in str(refused.value)
    assert str(log_path(tmp_path, "sleeper")) in str(refused.value)


@pytest.mark.fault
def test_an_answer_of_another_server_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """Two projects that start at once choose the same port; whoever comes second must hear of it, with the first one's process."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        service = sleeper("import time; time.sleep(1)", port=other.getsockname()[1])
        started = start(service, tmp_path)

        with pytest.raises(EngineError, match=rf"port {service.port} was taken meanwhile by process {os.getpid()} "):
            wait_ready(service, started, tmp_path)


def test_waiting_for_an_answer_has_an_end(tmp_path: Path) -> None:
    service = sleeper("import time; time.sleep(600)", is_ready=lambda: False, start_limit_s=0.3)
    started = start(service, tmp_path)

    with pytest.raises(EngineError, match=r"does not answer after 0\.3 s"):
        wait_ready(service, started, tmp_path)
    end(tmp_path, "sleeper", started, grace_s=0.1)


def test_a_server_does_not_inherit_its_clients_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's server with MLFLOW_TRACKING_URI set would be its own client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    code = "import os; print(sorted(n for n in os.environ if n.startswith(('MLFLOW_', 'AWS_ACCESS'))), flush=True)"
    service = sleeper(code, variables={"MLFLOW_BACKEND_STORE_URI": "x"}, inherits=("AWS_",))

    start(service, tmp_path)

    expected = "['AWS_ACCESS_KEY_ID', 'MLFLOW_BACKEND_STORE_URI']"
    wait_until(lambda: expected in tail(tmp_path, "sleeper"), what=expected, timeout_s=20)


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    path = log_path(tmp_path, "sleeper")
    path.parent.mkdir(parents=True)
    with path.open("wb") as log:
        log.truncate(11_000_000)

    start(sleeper("pass"), tmp_path)

    assert path.stat().st_size < 1000
    assert path.with_suffix(".log.1").stat().st_size == 11_000_000
