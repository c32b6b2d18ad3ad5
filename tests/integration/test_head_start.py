"""The head start of `headrace run` beside real DVC and Prefect, on a project of three stages without our code."""

import json
import signal
import urllib.request
from pathlib import Path

import pytest
from tests.projects import Checkout, make_project, wait_until

NOBODY = "http://127.0.0.1:9/api"
"""The discard port: nothing answers there."""


@pytest.fixture
def tiny(tmp_path: Path) -> Checkout:
    """`first` ends at once, `second` works until it is ended, `third` needs both."""
    dag = _dag(first="echo one > out/first", second="echo two > out/second; sleep 600")
    return make_project(tmp_path / "tiny", tmp_path / "home", {"dvc.yaml": dag})


def _dag(*, first: str, second: str, retries: int = 0) -> str:
    return (
        f"stages:\n"
        f'  first: {{cmd: "{first}", outs: [out/first], meta: {{retries: {retries}, retry_delay_s: 0}}}}\n'
        f'  second: {{cmd: "{second}", deps: [out/first], outs: [out/second]}}\n'
        f'  third: {{cmd: "cat out/first out/second > out/third", deps: [out/first, out/second], outs: [out/third]}}\n'
    )


@pytest.mark.fault
def test_without_prefect_what_was_begun_ahead_is_kept_or_ended(tiny: Checkout) -> None:
    """The user learns at once that Prefect is not there; the next run does not repeat what was done meanwhile."""
    tiny.variables["PREFECT_API_URL"] = NOBODY

    done = tiny.headrace("run", code=8)

    assert f"Prefect failed at {NOBODY}" in done.stderr
    assert "second failed" not in " ".join(done.stdout.split())  # nothing was wrong with it
    assert not tiny.processes()
    kept = json.loads(tiny.headrace("run", "--dry-run", "--json").stdout)
    assert ("kept: first" in done.stderr) == (not kept["first"]["would_run"])


@pytest.mark.fault
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_during_the_head_start_ends_every_process(tiny: Checkout, number: signal.Signals, code: int) -> None:
    """Prefect's import is under way and two threads of ours wait for stages: the shell still gets its answer in seconds."""
    run = tiny.start("headrace", "run", "-q")
    wait_until((tiny.folder / "out" / "second").exists, what="the second stage at work", timeout_s=60)

    run.send_signal(number)

    assert run.wait(30) == code
    wait_until(lambda: not tiny.processes(), what="the end of all processes", timeout_s=15)


@pytest.mark.fault
def test_a_failure_ahead_is_retried_by_prefect_and_told_in_its_log(tiny: Checkout, prefect_server: str) -> None:
    """The task's first attempt is the stage that was begun ahead, with all that it printed; the second one is a new execution."""
    tiny.variables["PREFECT_API_URL"] = prefect_server
    once = "echo attempt; echo x >> ../tries; test $(wc -l < ../tries) = 2; echo one > out/first"
    dag = _dag(first=f"set -e; {once}", second="echo two > out/second", retries=1)
    (tiny.folder / "dvc.yaml").write_text(dag)

    states = tiny.states()

    assert set(states.values()) == {"ran"}
    assert (tiny.folder.parent / "tries").read_text() == "x\nx\n"

    def ended() -> dict[str, object] | None:
        # States of tasks reach the server as events, which it may handle after the end of the flow.
        asked = {"task_runs": {"name": {"any_": ["first"]}}, "sort": "EXPECTED_START_TIME_DESC"}
        found = _ask(prefect_server, "task_runs", asked)
        return found[0] if found and found[0]["end_time"] else None

    run = wait_until(ended, what="the end of the task")
    logs = _ask(prefect_server, "logs", {"logs": {"task_run_id": {"any_": [run["id"]]}}})
    assert run["run_count"] == 2
    assert [log["message"] for log in logs].count("attempt") == 2


def _ask(url: str, what: str, body: dict[str, object]) -> list[dict[str, object]]:
    request = urllib.request.Request(
        f"{url}/{what}/filter", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # our own server
        return list(json.load(answer))
