"""Kill any process at any time: the next run recovers by itself, to the same bytes."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.projects import Checkout, clone, is_alive, wait_until

STAGES = ("collect", "validate", "split", "augment", "baseline", "train", "evaluate", "package")

pytestmark = pytest.mark.fault


def _flow(worker: psutil.Process) -> psutil.Process:
    return next(process for process in worker.parents() if any(part.endswith("headrace") for part in process.cmdline()[:2]))


def _dvc(worker: psutil.Process) -> psutil.Process:
    return next(process for process in worker.parents() if "headrace.flow.dag" in process.cmdline())


VICTIMS: dict[str, Callable[[psutil.Process], psutil.Process]] = {"flow": _flow, "dvc": _dvc, "stage": lambda worker: worker}


@pytest.fixture(scope="module")
def clean_lock(tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str) -> dict[str, Any]:
    """dvc.lock of a run that nobody disturbed."""
    top = tmp_path_factory.mktemp("clean")
    checkout = clone(origin, top / "clone", top / "home", PREFECT_API_URL=prefect_server)
    checkout.headrace("run")
    return checkout.lock()


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_at_each_stage_is_recovered_by_a_plain_rerun(
    victim: str, clean_lock: dict[str, Any], new_clone: Callable[[str], Checkout]
) -> None:
    """A kill -9 of the flow, of DVC's process, of the stage itself: the same dvc.lock, no orphan, one model version."""
    checkout = new_clone(victim)
    dag = checkout.folder / "dvc.yaml"
    # With retries a run would recover from a killed stage by itself, and the next kill would find nothing at work.
    dag.write_text(dag.read_text(encoding="utf-8").replace("retries: 2", "retries: 0"), encoding="utf-8")
    for stage in STAGES:
        run = checkout.start("headrace", "run", "-q", "--stage", stage)  # without its siblings, so that each is met at work
        pid = wait_until(lambda stage=stage: checkout.worker(stage), what=f"start of {stage}", timeout_s=120)
        VICTIMS[victim](psutil.Process(pid)).send_signal(signal.SIGKILL)
        run.wait(60)
        wait_until(
            lambda: not checkout.processes(), what=f"the end of all processes after {victim} was killed in {stage}", timeout_s=15
        )

    checkout.headrace("run")

    assert clean_lock == checkout.lock()
    assert not [path for path in checkout.folder.rglob("*.partial-*") if ".headrace" not in path.parts]
    with sqlite3.connect(checkout.home / "mlflow.db") as store:
        assert store.execute("select count(*) from model_versions").fetchone()[0] == 1


def test_dvc_by_hand_killed_leaves_no_stage_behind(clean_lock: dict[str, Any], new_clone: Callable[[str], Checkout]) -> None:
    """DVC leaves its child alive; the stage sees that nobody waits for it and ends."""
    checkout = new_clone("byhand")
    run = checkout.start("dvc", "repro")
    pid = wait_until(lambda: checkout.worker("train"), what="start of train", timeout_s=240)
    run.send_signal(signal.SIGKILL)
    run.wait(10)

    wait_until(lambda: not is_alive(pid), what="the end of the orphaned stage", timeout_s=10)
    checkout.run("dvc", "repro")

    assert clean_lock == checkout.lock()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_a_stopped_run_ends_everything_and_the_next_one_goes_on(
    new_clone: Callable[[str], Checkout], signum: signal.Signals
) -> None:
    """SIGTERM and Ctrl-C are answered within seconds, with the exit code a shell expects."""
    checkout = new_clone(f"stopped-{signum}")
    run = checkout.start("headrace", "run", "-q")
    wait_until(lambda: checkout.worker("train"), what="start of train", timeout_s=240)

    if signum is signal.SIGINT:
        os.killpg(run.pid, signum)  # as a terminal does: Prefect's temporary server gets it too
    else:
        os.kill(run.pid, signum)
    code = run.wait(20)

    assert code == 128 + signum
    if signum is signal.SIGINT:
        assert "stopped. Run the same command again" in (checkout.folder.parent / f"{checkout.folder.name}.log").read_text()
    wait_until(lambda: not checkout.processes(), what="the end of all processes", timeout_s=10)
    assert checkout.states()["train"] == "ran"


def test_a_second_run_says_who_holds_the_workspace(new_clone: Callable[[str], Checkout]) -> None:
    """Two runs in one workspace would mix their outputs: the second ends at once and names the first."""
    checkout = new_clone("twice")
    first = checkout.start("headrace", "run", "-q")
    wait_until(lambda: checkout.worker("collect") or checkout.worker("validate"), what="start of the first run")

    second = checkout.headrace("run", code=5)

    assert f"process {first.pid}" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait(10)
