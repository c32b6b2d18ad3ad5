"""`headrace ui` as a person meets it."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from headrace.errors import EngineError
from headrace.settings import Settings
from headrace.tracking import ui

START = """
import sys
from pathlib import Path
from headrace.settings import Settings, prepare_process
from headrace.tracking.ui import serve
settings = Settings(project=Path(sys.argv[1]), home=Path(sys.argv[1]) / "home")
prepare_process(settings)
sys.exit(serve(settings, int(sys.argv[2]), say=lambda line: print(line, flush=True)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_terminal_gets_one_line_and_ctrl_c_leaves_nothing_behind(tmp_path):
    """The server's own lines would push the address out of sight; its workers would hold the port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(tmp_path), str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    family = psutil.Process(process.pid).children(recursive=True)
    commands = [" ".join(each.cmdline()) for each in family]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        health = answer.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=10)

    assert first == f"MLflow: http://127.0.0.1:{port} (Ctrl-C stops it)\n"
    assert health == b"OK"
    assert (out, err, process.returncode) == ("", "", 0)
    assert family != []
    assert not [command for command in commands if "huey" in command or "jobs" in command], commands  # 250 MB each, for nothing
    assert alive == []
    assert "Uvicorn running" in (tmp_path / ".headrace/logs/ui.log").read_text()


@pytest.mark.fault
def test_a_server_that_does_not_start_says_why(tmp_path, monkeypatch):
    """The reason stands in a log that nobody would look for."""
    (tmp_path / "mlflow").write_text("#!/bin/sh\necho out of luck\nexit 3\n")
    (tmp_path / "mlflow").chmod(0o755)
    monkeypatch.setattr(ui, "environment_bin", lambda: Path(tmp_path))

    with pytest.raises(EngineError, match=r"exit code 3. Its last words: out of luck"):
        ui.serve(Settings(project=tmp_path, home=tmp_path), free_port(), say=print)


def test_a_taken_port_is_told_before_anything_starts(tmp_path):
    """With the next one to type."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ui.ConfigError, match=f"ui --port {port + 1}"):
            ui.serve(Settings(project=tmp_path, home=tmp_path), port, say=print)
