"""Prefect's server killed under a flow at work, or its disk full; with a real server of the test's own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.projects import Checkout, make_project, wait_until
from tests.services import PrefectServer

from headrace.services.asking import ask

pytestmark = pytest.mark.fault

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


@pytest.fixture
def checkout(server: PrefectServer, tmp_path: Path) -> Checkout:
    """A project whose first stage waits until there is a file `go` beside it."""
    dag = (
        'stages:\n  first: {cmd: "python wait.py && echo one > out/first", outs: [out/first]}\n'
        '  second: {cmd: "cat out/first > out/second", deps: [out/first], outs: [out/second]}\n'
    )
    files = {"dvc.yaml": dag, "wait.py": WAIT}
    return make_project(tmp_path / "tiny", tmp_path / "home", files, PREFECT_API_URL=server.api)


@contextmanager
def at_work(server: PrefectServer, checkout: Checkout) -> Iterator[subprocess.Popen[str]]:
    """A `headrace run` whose flow the server knows to be running."""
    run = checkout.start("headrace", "run")
    try:
        running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        wait_until(lambda: flow_runs(server, running), what="the flow at work", timeout_s=LIMIT_S)
        yield run
    finally:
        run.kill()


def log_of(checkout: Checkout) -> str:
    """What the last run said."""
    return (checkout.folder.parent / "tiny.log").read_text()


def test_a_flow_outlives_its_server(server: PrefectServer, checkout: Checkout) -> None:
    """An update of the server at night must not cost the training that is at work."""
    # On a busy machine a server takes longer to come back than the minute for which Prefect's client asks again by default.
    checkout.variables["PREFECT_CLIENT_MAX_RETRIES"] = "8"
    with at_work(server, checkout) as run:
        server.end(kill=True)
        (checkout.folder.parent / "go").touch()  # the stage ends while nobody listens
        wait_until((checkout.folder / "out" / "first").exists, what="the first stage's end", timeout_s=LIMIT_S)
        server.start()

        assert run.wait(2 * LIMIT_S) == 0, log_of(checkout)[-2000:]
    assert (checkout.folder / "out" / "second").read_text() == "one\n"
    found = wait_until(lambda: flow_runs(server, {}), what="the server's answer", timeout_s=LIMIT_S)
    assert [each["state"]["type"] for each in found] == ["COMPLETED"]


def test_a_full_disk_under_prefects_server_stops_the_flow_and_keeps_what_was_done(
    server: PrefectServer, checkout: Checkout
) -> None:
    """Its database takes no byte more: the stage at work ends and is kept, and the next run goes on behind it."""
    with at_work(server, checkout) as run, server.full_disk():
        (checkout.folder.parent / "go").touch()

        assert run.wait(LIMIT_S) == 8, log_of(checkout)[-2000:]
    assert "The server's log says why" in log_of(checkout)
    assert "What had been done meanwhile is kept: first" in log_of(checkout)
    assert "Traceback" not in log_of(checkout)

    assert checkout.states()["first"] == "unchanged"
    assert (checkout.folder / "out" / "second").read_text() == "one\n"
