"""Prefect's server killed under a flow at work, with a real server of the test's own."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.projects import BIN, GIT, REPOSITORY, Checkout, wait_until
from tests.services import PrefectServer

from headrace.services.asking import ask

pytestmark = [pytest.mark.xdist_group("outage"), pytest.mark.fault]

LIMIT_S = 180.0
WAIT = "import pathlib, time\nwhile not pathlib.Path('../go').exists():\n    print('waiting', flush=True)\n    time.sleep(0.2)\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    """Started; killed at the end."""
    (tmp_path / "prefect").mkdir()
    found = PrefectServer(tmp_path / "prefect")
    try:
        found.start()
        yield found
    finally:
        found.end(kill=True)


def flow_runs(server: PrefectServer, wanted: dict[str, Any]) -> Any:
    """None where nobody answers."""
    status, body = ask(f"{server.api}/flow_runs/filter", method="POST", json_body=wanted, timeout_s=10)
    return json.loads(body) if status == 200 else None


def test_a_flow_outlives_its_server(server: PrefectServer, tmp_path: Path) -> None:
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
        wait_until(lambda: flow_runs(server, running), what="the flow at work", timeout_s=LIMIT_S)

        server.end(kill=True)
        (tmp_path / "go").touch()  # the stage ends while nobody listens
        wait_until((folder / "out" / "first").exists, what="the first stage's end", timeout_s=LIMIT_S)
        server.start()

        assert run.wait(LIMIT_S) == 0, (tmp_path / "tiny.log").read_text()[-2000:]
    finally:
        run.kill()
    assert (folder / "out" / "second").read_text() == "one\n"
    found = wait_until(lambda: flow_runs(server, {}), what="the server's answer", timeout_s=LIMIT_S)
    assert [each["state"]["type"] for each in found] == ["COMPLETED"]
