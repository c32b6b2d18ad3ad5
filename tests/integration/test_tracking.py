"""Runs in real stores: found again, fed from the spool, never doubled."""

import contextlib
import multiprocessing
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.disks import no_file_beyond

from headrace.errors import EngineError
from headrace.tracking import tracker as trackers
from headrace.tracking.evidence import record_evaluation
from headrace.tracking.facts import DUPLICATE_TAG, FINGERPRINT_TAG, InputFact, RunFacts
from headrace.tracking.runs import Store, find_run, open_run
from headrace.tracking.store import connect, experiment_id
from headrace.tracking.tracker import MlflowTracker, replay

WRITERS = 8

FACTS = RunFacts(
    params={"train": {"network": {"name": "mlp"}, "epochs": 2, "url": "https://me:CANARY@h/x"}, "register": {"model": "digits"}},
    inputs=(InputFact("data/splits", "0123456789abcdef0123456789abcdef.dir", "data/splits"),),
    commit="c" * 40,
    is_dirty=True,
)
EVALUATE = {
    "metrics": {"accuracy": 0.9, "roc_auc": None},
    "score": "accuracy",
    "score_low": 0.88,
    "score_high": 0.92,
    "comparison": [{"model": "rbf_svm", "score": 0.89, "difference": 0.01}],
    "verdict": {"allowed": True, "better": False, "reasons": []},
}


def train(store: Store, spool: Path, steps: range, *, status: str = "finished", say: Callable[[str], object] = print) -> None:
    tracker = MlflowTracker(store, FACTS, spool=spool, say=say)
    tracker.begin("f" * 64, {})
    for step in steps:
        tracker.log(step, {"train/loss": 1 / (step + 1)})
        if step % 5 == 0:
            tracker.log(step, {"epoch/validation_loss": 0.5})
    tracker.end(status)


def only_run(store: Store):
    client = connect(store.uri)
    experiment = experiment_id(client, store.experiment, store.artifact_location)
    (run,) = client.search_runs([experiment])
    return client, run


def steps_of(client, run, name="train/loss"):
    return [metric.step for metric in client.get_metric_history(run.info.run_id, name)]


def test_a_resumed_training_continues_its_run_without_doubled_points(store, tmp_path):
    """MLflow keeps every point it is sent: logging steps 6-9 twice would double the curve."""
    train(store, tmp_path / "spool", range(10), status="killed")
    train(store, tmp_path / "spool", range(6, 15))
    client, run = only_run(store)

    assert steps_of(client, run) == list(range(15))
    assert steps_of(client, run, "epoch/validation_loss") == [0, 5, 10]
    assert run.info.status == "FINISHED"
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_run_says_what_it_is(store, tmp_path):
    """Params of all stages, inputs by DVC digest, commit, dirty flag, a note; and no password."""
    train(store, tmp_path / "spool", range(1))
    _, run = only_run(store)

    assert run.info.run_name == "digits mlp ffffff"
    assert run.data.params["train.network.name"] == "mlp"
    assert run.data.tags["headrace.git.dirty"] == "true"
    assert run.data.tags[FINGERPRINT_TAG] == "f" * 64
    assert "`mlp`" in run.data.tags["mlflow.note.content"]
    assert run.inputs.dataset_inputs[0].dataset.digest == "0123456789abcdef0123456789abcdef.dir"
    assert "CANARY" not in str(run.to_dictionary())


def test_two_runs_of_one_fingerprint_become_one(sqlite_store):
    """A race of two machines: the oldest wins, the other says of whom it is a duplicate."""
    client = connect(sqlite_store.uri)
    experiment = experiment_id(client, sqlite_store.experiment, sqlite_store.artifact_location)
    older = client.create_run(experiment, start_time=1000, tags={FINGERPRINT_TAG: "f1"})
    made = client.create_run(experiment, start_time=2000, tags={FINGERPRINT_TAG: "f1"})

    assert find_run(client, experiment, "f1").info.run_id == older.info.run_id

    client.set_tag(made.info.run_id, DUPLICATE_TAG, older.info.run_id)

    assert open_run(client, experiment, "f1", FACTS).info.run_id == older.info.run_id


def test_a_param_changed_since_training_is_noted_not_refused(sqlite_store, tmp_path):
    """MLflow refuses another value of a param; a changed promote.mode must not stop a run that is found by fingerprint."""
    train(sqlite_store, tmp_path / "spool", range(1))
    client, run = only_run(sqlite_store)
    changed = RunFacts(params={**FACTS.params, "register": {"model": "other"}})
    open_run(client, run.info.experiment_id, "f" * 64, changed)
    _, run = only_run(sqlite_store)

    assert run.data.params["register.model"] == "digits"
    assert run.data.tags["headrace.params_since"] == "register.model: digits -> other"


def test_the_evaluation_is_recorded_once(store, tmp_path):
    """Running twice changes nothing: no second run, no second point, no second upload."""
    train(store, tmp_path / "spool", range(3))
    figure = tmp_path / "roc.png"
    figure.write_bytes(b"\x89PNG\r\n\xff")
    (tmp_path / "sources.lock").write_text("url: https://me:CANARY@h/x\n")
    arguments = {
        "evaluate": EVALUATE,
        "files": {"plots/roc.png": figure, "sources.lock": tmp_path / "sources.lock", "absent.html": tmp_path / "absent"},
        "texts": {"changes.diff": "+ a\n"},
        "history": tmp_path / "none.csv",
        "spool": tmp_path / "spool",
        "say": print,
    }
    first = record_evaluation(store, FACTS, "f" * 64, **arguments)
    second = record_evaluation(store, FACTS, "f" * 64, **arguments)
    client, run = only_run(store)

    assert first == second == run.info.run_id
    assert run.data.metrics["test/accuracy"] == 0.9
    assert run.data.metrics["gate/allowed"] == 1.0
    assert "test/roc_auc" not in run.data.metrics
    assert len(client.get_metric_history(first, "test/accuracy")) == 1
    assert {each.path for each in client.list_artifacts(first)} == {"plots", "sources.lock", "changes.diff"}
    assert "CANARY" not in Path(client.download_artifacts(first, "sources.lock", str(tmp_path))).read_text()


def test_a_restored_training_is_recorded_as_restored(sqlite_store, tmp_path):
    """A fresh store and outputs from the cache: the curves come from the table that was restored too."""
    history = tmp_path / "history.csv"
    history.write_text("epoch,train_loss,accuracy\n1,0.5,0.8\n2,0.3,0.9\n")
    for _ in range(2):
        record_evaluation(
            sqlite_store,
            FACTS,
            "f" * 64,
            evaluate=EVALUATE,
            files={},
            texts={},
            history=history,
            spool=tmp_path / "spool",
            say=print,
        )
    client, run = only_run(sqlite_store)

    assert run.data.tags["headrace.restored"] == "true"
    assert steps_of(client, run, "epoch/accuracy") == [1, 2]
    assert run.info.status == "FINISHED"


@pytest.mark.fault
def test_a_dead_server_costs_a_training_nothing_but_a_line(tmp_path, mlflow_server):
    """Training goes on, the person is told once, and the next run sends what was kept."""
    gone = Store("http://127.0.0.1:9", "project-gone")
    said: list[str] = []
    start = time.monotonic()
    train(gone, tmp_path / "spool", range(5), say=said.append)

    assert time.monotonic() - start < 15
    assert len(said) == 1
    assert "Training goes on; metrics are kept in" in said[0]

    back = Store(mlflow_server.uri, "project-gone")

    assert replay(back, tmp_path / "spool", say=said.append) == 1
    client, run = only_run(back)
    assert steps_of(client, run) == list(range(5))
    assert run.info.status == "FINISHED"
    assert replay(back, tmp_path / "spool", say=said.append) == 0


@pytest.mark.fault
def test_a_server_killed_in_mid_training_gets_everything_later(tmp_path, mlflow_server):
    """The points before the kill are not doubled, the points after it are not lost."""
    store = Store(mlflow_server.uri, "project-killed")
    tracker = MlflowTracker(store, FACTS, spool=tmp_path / "spool", say=print)
    tracker.begin("f" * 64, {})
    try:
        for step in range(5):
            tracker.log(step, {"train/loss": 0.1})
        client = connect(store.uri)
        limit = time.monotonic() + 60
        experiment = experiment_id(client, store.experiment)
        while time.monotonic() < limit:
            run = find_run(client, experiment, "f" * 64)
            if run is not None and run.data.metrics:
                break
            time.sleep(0.2)
        mlflow_server.kill()
        for step in range(5, 10):
            tracker.log(step, {"train/loss": 0.1})
        tracker.end()
    finally:
        mlflow_server.start()

    assert replay(store, tmp_path / "spool", say=print) == 1
    client, run = only_run(store)
    assert steps_of(client, run) == list(range(10))


@pytest.mark.fault
def test_a_full_disk_under_mlflow_costs_a_training_nothing_but_a_line(sqlite_store, tmp_path, capfd, monkeypatch):
    """The SQLite file cannot grow: what it does not take is kept, the database stays whole, and MLflow's own trace is not shown."""
    monkeypatch.setattr(trackers, "END_LIMIT_S", 120.0)  # a busy machine
    train(sqlite_store, tmp_path / "spool", range(3))
    database = Path(sqlite_store.uri.removeprefix("sqlite:///"))
    said: list[str] = []
    with no_file_beyond(database.stat().st_size):
        train(sqlite_store, tmp_path / "spool", range(3, 1000), say=said.append)

    assert len(said) == 1
    assert re.search(r"failed: \(sqlite3\.OperationalError\) .*\. Make room .*, which has [\d,]+ MB free", said[0])
    assert "Training goes on; metrics are kept in" in said[0]
    assert "SQL:" not in said[0]
    assert "Traceback" not in capfd.readouterr().err

    assert replay(sqlite_store, tmp_path / "spool", say=said.append) == 1
    client, run = only_run(sqlite_store)
    assert steps_of(client, run) == list(range(1000))
    assert run.info.status == "FINISHED"
    with contextlib.closing(sqlite3.connect(database)) as found:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _log_until_killed(uri: str, location: str, spool: str) -> None:
    tracker = MlflowTracker(Store(uri, "project", location), FACTS, spool=Path(spool), say=print)
    tracker.begin("f" * 64, {})
    for step in range(7):
        tracker.log(step, {"train/loss": 0.1})
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.fault
def test_a_killed_training_loses_no_metric_it_has_logged(sqlite_store, tmp_path):
    """They are in the file before `log` returns; a run whose process is gone is not left running."""
    arguments = (sqlite_store.uri, sqlite_store.artifact_location, str(tmp_path / "spool"))
    child = multiprocessing.get_context("spawn").Process(target=_log_until_killed, args=arguments)
    child.start()
    child.join()

    assert child.exitcode == -signal.SIGKILL
    assert replay(sqlite_store, tmp_path / "spool", say=print) == 1
    client, run = only_run(sqlite_store)
    assert steps_of(client, run) == list(range(7))
    assert run.info.status == "KILLED"


def _train_one(uri: str, location: str, spool: str, number: int) -> None:
    tracker = MlflowTracker(Store(uri, "project", location), FACTS, spool=Path(spool), say=print)
    tracker.begin(f"{number:064x}", {})
    for step in range(25):
        tracker.log(step, {"train/loss": 0.1, "train/lr": 0.1})
    tracker.end()


@pytest.mark.fault
def test_several_trainings_on_a_fresh_database_lose_no_metric(sqlite_store, tmp_path):
    """One migrates, none is killed by it, and a locked database is asked again."""
    spawn = multiprocessing.get_context("spawn")
    common = (sqlite_store.uri, sqlite_store.artifact_location, str(tmp_path / "spool"))
    workers = [spawn.Process(target=_train_one, args=(*common, number)) for number in range(WRITERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    replay(sqlite_store, tmp_path / "spool", say=print)
    client = connect(sqlite_store.uri)
    runs = client.search_runs([experiment_id(client, sqlite_store.experiment)])

    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    assert len(runs) == WRITERS
    assert all(len(client.get_metric_history(run.info.run_id, "train/lr")) == 25 for run in runs)


def _train_impatiently(uri: str, experiment: str, spool: str) -> None:
    trackers.END_LIMIT_S = 3.0
    with Path(spool).with_name("said").open("w") as said:
        train(Store(uri, experiment), Path(spool), range(5, 10), say=said.write)


@pytest.mark.fault
def test_a_locked_database_loses_no_metric(mlflow_server, tmp_path):
    """Somebody copies the server's database: what cannot be written then is written later, once."""
    store = Store(mlflow_server.uri, "project-locked")
    train(store, tmp_path / "spool", range(5), status="killed")
    # In a process of its own: what it is still trying when it gives up ends with it, as after a stage.
    arguments = (store.uri, store.experiment, str(tmp_path / "spool"))
    child = multiprocessing.get_context("spawn").Process(target=_train_impatiently, args=arguments)
    with contextlib.closing(sqlite3.connect(mlflow_server.folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        child.start()
        child.join()
        other.execute("ROLLBACK")

    assert child.exitcode == 0
    assert "Training goes on; metrics are kept in" in (tmp_path / "said").read_text()
    assert replay(store, tmp_path / "spool", say=print) == 1
    client, run = only_run(store)
    assert steps_of(client, run) == list(range(10))
    assert run.info.status == "FINISHED"


def test_replay_needs_the_server(tmp_path):
    """A command that records says that it cannot, in seconds."""
    said: list[str] = []
    gone = Store("http://127.0.0.1:9", "x")
    train(gone, tmp_path / "spool", range(1), say=said.append)

    with pytest.raises(EngineError, match="Start the server"):
        replay(gone, tmp_path / "spool", say=said.append)
    assert len(list((tmp_path / "spool").iterdir())) == 1
