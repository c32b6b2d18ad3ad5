import subprocess
import sys
import time
from pathlib import Path

import psutil

from headrace.processes import PidFile, ProcessId, end_process, starter

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_reused_number_is_another_process() -> None:
    """A pid alone names nobody: its start time belongs to it."""
    own = ProcessId.own()

    assert own.is_alive()
    assert not ProcessId(own.pid, own.started - 100).is_alive()


def test_a_process_ends_with_its_children() -> None:
    """A stage may have started workers; none survives it."""
    shell = subprocess.Popen(["sh", "-c", f"{sys.executable} -c 'import time; time.sleep(60)' & wait"])
    while not psutil.Process(shell.pid).children():
        time.sleep(0.02)
    child = psutil.Process(shell.pid).children()[0]
    identity = ProcessId.of(shell.pid)
    assert identity is not None

    ended = end_process(identity)

    assert ended
    shell.wait(5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_survivor_is_ended_before_the_next_worker_starts(tmp_path: Path) -> None:
    """Two stages writing the same outputs would record a file that both wrote."""
    survivor = subprocess.Popen(SLEEP)
    identity = ProcessId.of(survivor.pid)
    assert identity is not None
    path = tmp_path / "train.json"
    path.write_text(identity.to_text())

    ended = PidFile(path).take()

    assert ended
    assert not identity.is_alive()
    survivor.wait(5)
    assert ProcessId.from_text(path.read_text()) == ProcessId.own()


def test_the_starter_is_found_behind_a_shell() -> None:
    """DVC starts a stage through `sh -c`: both are watched, and nobody above."""
    code = "import sys; sys.path.insert(0, 'src'); from headrace.processes import starter; print(len(starter()))"
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}"; true'], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "2"
    assert starter()
