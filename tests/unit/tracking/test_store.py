"""The store is made ready once, whoever comes first."""

import multiprocessing
import sqlite3
import time

import pytest
from tests.disks import no_file_beyond

from headrace.errors import ConfigError, EngineError
from headrace.tracking.store import check, prepare, sqlite_path


def test_eight_processes_on_a_fresh_file_all_succeed(tmp_path):
    """MLflow's own first use killed seven of eight."""
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=prepare, args=(uri,)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0] * 8
    with sqlite3.connect(tmp_path / "new" / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    database.close()


def test_a_ready_database_is_not_touched(tmp_path):
    """The fast path of every run: two stats, no lock, no import."""
    path = tmp_path / "mlflow.db"
    prepare(f"sqlite:///{path}")
    before = path.stat().st_mtime_ns
    (tmp_path / "mlflow.db.lock").unlink()
    prepare(f"sqlite:///{path}")

    assert path.stat().st_mtime_ns == before
    assert not (tmp_path / "mlflow.db.lock").exists()


def test_a_file_put_in_place_of_the_prepared_one_is_looked_at_again(tmp_path):
    """A restored backup may be of an older MLflow; the marker belongs to one file."""
    path = tmp_path / "mlflow.db"
    prepare(f"sqlite:///{path}")
    other = tmp_path / "other.db"
    prepare(f"sqlite:///{other}")
    other.replace(path)
    (tmp_path / "mlflow.db.lock").unlink()
    prepare(f"sqlite:///{path}")

    assert (tmp_path / "mlflow.db.lock").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """Migrating it would overwrite somebody's file."""
    path = tmp_path / "mlflow.db"
    path.write_text("notes " * 100)

    with pytest.raises(ConfigError, match="not an SQLite database"):
        prepare(f"sqlite:///{path}")
    assert path.read_text() == "notes " * 100


@pytest.mark.fault
def test_a_disk_with_no_room_for_the_database_is_told_and_left_as_it_was(tmp_path):
    with no_file_beyond(100_000), pytest.raises(EngineError, match=r"mlflow\.db failed: .*Make room .* MB free"):
        prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]

    prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (tmp_path / "mlflow.db").exists()


def test_a_dead_server_is_found_at_once(free_port):
    """MLflow's own retries would take minutes."""
    start = time.monotonic()

    with pytest.raises(EngineError, match=r"MLflow at http://127.0.0.1:\d+ failed: .*refused.*Start the server"):
        check(f"http://me:secret@127.0.0.1:{free_port}")
    assert time.monotonic() - start < 10


def test_a_login_page_is_not_mlflow(html_server):
    """A captive portal answers 200 to everything."""
    with pytest.raises(EngineError, match="not MLflow"):
        check(html_server)


def test_a_silent_server_is_given_up(silent_server):
    """It accepts the connection and never answers: only a time limit helps."""
    with pytest.raises(EngineError, match="timed out"):
        check(silent_server, timeout_s=0.3)


@pytest.mark.parametrize(
    ("uri", "path"),
    [("sqlite:////a/b.db", "/a/b.db"), ("sqlite:///b.db?timeout=3", "b.db"), ("http://x", None), ("postgresql://x", None)],
)
def test_only_sqlite_uris_have_a_file(uri, path):
    """Everything else is prepared by its server."""
    found = sqlite_path(uri)

    assert (str(found) if found else None) == path
