"""One DAG, two doors, one result: `dvc repro` and `headrace run` on the real default recipe."""

import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import Checkout, wait_until

STAGES = {"collect", "validate", "split", "augment", "baseline", "train", "evaluate", "package"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str) -> tuple[Checkout, Checkout]:
    """Two clones with separate caches: one went through `dvc repro`, the other through `headrace run`."""
    from tests.projects import clone

    top = tmp_path_factory.mktemp("doors")
    engineer = clone(origin, top / "engineer", top / "home-engineer", PREFECT_API_URL=prefect_server)
    operator = clone(origin, top / "operator", top / "home-operator", PREFECT_API_URL=prefect_server)
    engineer.run("dvc", "repro")
    operator.headrace("run")
    return engineer, operator


def test_both_doors_leave_the_same_lock(both: tuple[Checkout, Checkout]) -> None:
    """Entry for entry: what DVC hashes is a function of the inputs, whoever starts the stages."""
    engineer, operator = both

    assert engineer.lock() == operator.lock()


def test_after_either_door_the_other_executes_no_stage(both: tuple[Checkout, Checkout]) -> None:
    """A run through one door is not repeated by the other."""
    engineer, operator = both

    through_the_flow = engineer.states()
    by_hand = operator.run("dvc", "repro").stdout

    assert {through_the_flow[stage] for stage in STAGES} == {"unchanged"}
    assert "Running stage" not in by_hand


def test_running_twice_makes_one_run_and_one_version(both: tuple[Checkout, Checkout]) -> None:
    """A skipped stage keeps its link to the run that made it; nothing is registered twice."""
    _, operator = both
    operator.headrace("run")
    (operator.folder / ".headrace" / "up-to-date.json").unlink()
    (operator.folder / ".headrace" / "steps.json").unlink()  # as in another checkout: the steps are taken again

    operator.headrace("run")

    with sqlite3.connect(operator.home / "mlflow.db") as store:
        runs = store.execute("select count(*) from runs").fetchone()[0]
        versions = store.execute("select count(*) from model_versions").fetchone()[0]
    assert (1, 1) == (runs, versions)


def test_a_run_with_nothing_to_do_imports_neither_prefect_nor_mlflow_nor_dvc(both: tuple[Checkout, Checkout]) -> None:
    """Nothing changed: the answer costs a fraction of a second."""
    _, operator = both
    operator.headrace("run")

    code = "import sys; sys.argv = ['headrace', 'run']; from headrace.cli.main import main; main()"
    done = operator.run("python", "-X", "importtime", "-c", code)

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "up to date, 8 stages" in done.stdout
    assert not imported & {"prefect", "mlflow", "dvc", "torch", "pandas"}


def test_lost_outputs_and_lock_are_restored_without_running(both: tuple[Checkout, Checkout]) -> None:
    """The run-cache has them: a deleted workspace costs seconds, not a training."""
    engineer, _ = both
    before = engineer.lock()
    for name in ("data/raw", "data/validated", "data/quarantine", "data/splits", "data/augmented", "models", "reports"):
        shutil.rmtree(engineer.folder / name, ignore_errors=True)
    (engineer.folder / "dvc.lock").unlink()

    states = engineer.states()

    assert {states[stage] for stage in STAGES} == {"restored"}
    assert before == engineer.lock()
    assert (engineer.folder / "reports" / "promotion.json").exists()  # no output of the DAG: the step brings it back for the page


def test_a_fresh_clone_with_only_the_remote_executes_no_stage(
    both: tuple[Checkout, Checkout], origin: Path, tmp_path: Path
) -> None:
    """An empty disk and the remote are enough."""
    from tests.projects import clone

    engineer, _ = both
    remote = tmp_path / "remote"
    engineer.run("dvc", "remote", "add", "--local", "-d", "storage", str(remote))
    engineer.run("dvc", "push", "--run-cache")
    newcomer = clone(origin, tmp_path / "newcomer", tmp_path / "home", **engineer.variables)
    newcomer.run("dvc", "remote", "add", "--local", "-d", "storage", str(remote))

    states = newcomer.states()

    assert {states[stage] for stage in STAGES} == {"restored"}
    assert engineer.lock() == newcomer.lock()


def test_a_stage_that_is_only_in_dvc_yaml_becomes_a_task(both: tuple[Checkout, Checkout], prefect_server: str) -> None:
    """The flow is derived from the DAG: nothing in pipelines/ is edited."""
    _, operator = both
    dag = operator.folder / "dvc.yaml"
    text = dag.read_text(encoding="utf-8")
    extra = "  countrows:\n    cmd: wc -c reports/split.json > data/rows.txt\n    deps: [reports/split.json]\n    outs: [data/rows.txt]\n"
    dag.write_text(text.replace("stages:\n", f"stages:\n{extra}", 1), encoding="utf-8")
    try:
        states = operator.states()
        # A task reaches the server as an event, which it may handle after the end of the flow.
        wait_until(lambda: "countrows" in _task_names(prefect_server), what="a task of the new stage")
    finally:
        dag.write_text(text, encoding="utf-8")

    assert states["countrows"] == "ran"


def test_an_experiment_works_on_the_same_file(both: tuple[Checkout, Checkout]) -> None:
    """`dvc exp run -S` needs no edit and touches no registry."""
    engineer, _ = both

    done = engineer.run("dvc", "exp", "run", "--temp", "-S", "split.seed=3", "split")

    assert "Running stage 'split'" in done.stdout


def _task_names(url: str) -> set[str]:
    request = urllib.request.Request(
        f"{url}/task_runs/filter", data=b"{}", headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # our own server
        return {task["name"].split("-")[0] for task in json.load(answer)}


def test_a_failed_stage_gives_its_outputs_back_and_says_why(new_clone: Callable[[str], Checkout]) -> None:
    """DVC deletes outputs before a stage starts; a failure must not cost the last good ones."""
    checkout = new_clone("broken")
    checkout.headrace("run", "--stage", "split")
    before = (checkout.folder / "reports" / "split.json").read_text(encoding="utf-8")
    checkout.set_param("split", test=0.000001)

    failed = checkout.headrace("run", "--stage", "split", code=6)

    assert "stage split failed" in failed.stderr
    assert "Traceback" not in failed.stderr + failed.stdout
    assert before == (checkout.folder / "reports" / "split.json").read_text(encoding="utf-8")
    assert (checkout.folder / ".headrace" / "failed" / "split" / "error.json").exists()


def test_an_accepted_change_reruns_nothing(both: tuple[Checkout, Checkout]) -> None:
    """A reworded message must not retrain a model; why it may not is kept in the project's log."""
    _, operator = both
    message = operator.folder / "src" / "headrace" / "errors.py"
    before = message.read_text(encoding="utf-8")
    message.write_text(before + "\n# reworded\n", encoding="utf-8")
    try:
        stale = json.loads(operator.headrace("status", "--json").stdout)["stale"]
        operator.headrace("accept", "--reason", "a comment only")
        states = operator.states()
    finally:
        message.write_text(before, encoding="utf-8")
        operator.headrace("accept", "--reason", "the comment is gone again")

    assert STAGES == set(stale)
    assert {states[stage] for stage in STAGES} == {"unchanged"}
    assert "a comment only" in (operator.folder / "docs" / "log.md").read_text(encoding="utf-8")
