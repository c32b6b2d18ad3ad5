"""Prefect's server killed under a flow at work, with a real server of the test's own."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.projects import BIN, GIT, REPOSITORY, Checkout, wait_until
from tests.services import free_port

pytestmark = [pytest.mark.xdist_group("outage"), pytest.mark.fault]

LIMIT_S = 180.0
WAIT = "import pathlib, time\nwhile not pathlib.Path('../go').exists():\n    print('waiting', flush=True)\n    time.sleep(0.2)\n"


class Server:
    """A Prefect server that can be killed and started again on its database."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for an answer."""
        command = [str(BIN / "python"), "-m", "headrace.flow.prefect_program", "server", "start", "--no-ui"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env={**os.environ, "PREFECT_HOME": str(self.home)},
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.ask("health") is True, what="the server's answer", timeout_s=LIMIT_S)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)

    def ask(self, path: str, body: Any = None) -> Any:
        """JSON, None where nobody answers."""
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Started; killed at the end."""
    home = tmp_path / "prefect"
    home.mkdir()
    found = Server(home)
    found.start()
    yield found
    found.kill()


def test_a_flow_outlives_its_server(server: Server, tmp_path: Path) -> None:
    """An update of the server at night must not cost the training that is at work."""
    folder = tmp_path / "tiny"
    (folder / "out").mkdir(parents=True)
    (folder / "wait.py").write_text(WAIT)
    (folder / "dvc.yaml").write_text(
        'stages:\n  first: {cmd: "python wait.py && echo one > out/first", outs: [out/first]}\n'
        '  second: {cmd: "cat out/first > out/second", deps: [out/first], outs: [out/second]}\n'
    )
    (folder / "params.yaml").write_text("{}\n")
    (folder / ".gitignore").write_text("/out/\n/.headrace/\n")
    shutil.copytree(REPOSITORY / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    for command in (["git", "init", "-q"], [str(BIN / "dvc"), "init", "-q"], ["git", "add", "-A"], [*GIT, "commit", "-qm", "x"]):
        subprocess.run(command, cwd=folder, check=True)
    checkout = Checkout(folder, tmp_path / "home", {"PREFECT_API_URL": server.api})
    run = checkout.start("headrace", "run")
    running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    try:
        wait_until(lambda: server.ask("flow_runs/filter", running), what="the flow at work", timeout_s=LIMIT_S)

        server.kill()
        (tmp_path / "go").touch()  # the stage ends while nobody listens
        wait_until((folder / "out" / "first").exists, what="the first stage's end", timeout_s=LIMIT_S)
        server.start()

        assert run.wait(LIMIT_S) == 0, (tmp_path / "tiny.log").read_text()[-2000:]
    finally:
        run.kill()
    assert (folder / "out" / "second").read_text() == "one\n"
    assert [each["state"]["type"] for each in server.ask("flow_runs/filter", {})] == ["COMPLETED"]
