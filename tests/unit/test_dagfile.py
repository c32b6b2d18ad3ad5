"""dvc.yaml and dvc.lock as text, read beside a DVC that is at work."""

import fcntl
import json
import threading
import time
from pathlib import Path

from headrace.dagfile import Stanza, locked_outs, stage_fingerprint

LOCK = "schema: '2.0'\nstages:\n  split:\n    cmd: x\n    outs:\n    - {path: data/splits, md5: 1a2b.dir}\n"


def test_without_a_lock_file_nothing_is_made(tmp_path: Path) -> None:
    """Before the first run."""
    assert locked_outs(tmp_path) == {}


def test_dvc_lock_is_not_read_while_dvc_writes_it(tmp_path: Path) -> None:
    """DVC writes it in place: a stage that starts while another one ends must not see the half of it."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    lock = tmp_path / "dvc.lock"
    lock.write_text(LOCK[:20])
    with (tmp_path / ".dvc" / "tmp" / "lock").open("w") as dvc:
        fcntl.flock(dvc, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found: list[dict[str, str]] = []
        reader = threading.Thread(target=lambda: found.append(locked_outs(tmp_path)))
        reader.start()
        time.sleep(0.2)
        is_waiting = reader.is_alive()
        lock.write_text(LOCK)
    reader.join()

    assert is_waiting
    assert found == [{"data/splits": "1a2b.dir"}]


def test_a_reader_leaves_the_lock_to_dvc(tmp_path: Path) -> None:
    """Held for the time of the reading only."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / ".dvc" / "tmp" / "lock").write_text("")

    locked_outs(tmp_path)

    with (tmp_path / ".dvc" / "tmp" / "lock").open("r+") as dvc:
        fcntl.flock(dvc, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_raised_result_revision_is_another_fingerprint(tmp_path: Path) -> None:
    """Else a run after an upgrade would be taken for the one before it, in MLflow and among checkpoints."""
    stanza = Stanza("train", "x", (), ("train",), ("headrace.train", "torch"), ())

    def fingerprint(train: int, split: int) -> str:
        pins = {"headrace": {"train": train, "split": split}, "torch": "2.13.0"}
        (tmp_path / "environment.json").write_text(json.dumps(pins))
        return stage_fingerprint(tmp_path, stanza, {}, {})

    assert fingerprint(1, 1) == fingerprint(1, 2)
    assert fingerprint(1, 1) != fingerprint(2, 1)
