"""A dvc.lock that DVC cannot read, beside the real DVC, on a project of two stages without our code."""

import os
from pathlib import Path

import pytest
from tests.projects import Checkout, make_project


@pytest.fixture
def small(tmp_path: Path, prefect_server: str) -> Checkout:
    """Two stages that have run."""
    dag = (
        "stages:\n  first: {cmd: 'echo one > out/first', outs: [out/first]}\n"
        "  second: {cmd: 'cat out/first > out/second', deps: [out/first], outs: [out/second]}\n"
    )
    made = make_project(tmp_path / "small", tmp_path / "home", {"dvc.yaml": dag}, PREFECT_API_URL=prefect_server)
    assert set(made.states("--stage", "second").values()) == {"ran"}
    return made


@pytest.mark.fault
def test_a_kill_while_dvc_writes_its_lock_costs_nothing(small: Checkout) -> None:
    """DVC writes dvc.lock in place. Wherever the kill cuts it, the next run goes on, and no stage works again."""
    lock = small.folder / "dvc.lock"
    whole = small.lock()
    text = lock.read_text()
    small.headrace("run", "--stage", "second")  # the plan of this run keeps what it has read

    for cut in (0, 7, len(text) // 2, len(text) - 5):
        lock.write_text(text[:cut])
        assert "ran" not in small.states("--stage", "second").values(), f"cut at {cut} of {len(text)}"
        assert small.lock() == whole


@pytest.mark.fault
def test_a_conflict_is_left_to_a_person(small: Checkout) -> None:
    """Which side is right is no question for a program that does not know what was merged."""
    lock = small.folder / "dvc.lock"
    conflict = f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> theirs\n"
    lock.write_text(conflict)

    done = small.headrace("run", code=2)

    assert "merge conflict" in done.stderr
    assert "git checkout --merge dvc.lock" in done.stderr
    assert "Traceback" not in done.stderr
    assert lock.read_text() == conflict


@pytest.mark.fault
def test_a_run_and_dvc_by_hand_do_not_mix(small: Checkout) -> None:
    """Whichever comes second ends and names the first, at once: their outputs have the same names."""
    gate = small.folder / "gate"
    os.mkfifo(gate)
    dag = small.folder / "dvc.yaml"
    dag.write_text(dag.read_text().replace("echo one", "cat gate; echo one"))
    by_hand = small.start("dvc", "repro", "first")
    with gate.open("w"):  # opens when the stage reads
        done = small.headrace("run", code=5)
    assert by_hand.wait(60) == 0
    assert f"process {by_hand.pid}) is at work" in done.stderr
    assert "dvc repro first` (" in done.stderr

    (small.folder / "out" / "first").unlink()
    ours = small.start("headrace", "run", "--stage", "first", "--force")
    with gate.open("w"):
        done = small.run("dvc", "repro", "first", code=255)
    assert ours.wait(60) == 0
    assert "is busy" in done.stderr


@pytest.mark.badinput
def test_a_project_without_stages_is_not_up_to_date(small: Checkout) -> None:
    """An emptied dvc.yaml is a mishap."""
    (small.folder / "dvc.yaml").write_text("")

    done = small.headrace("run", code=2)

    assert "dvc.yaml has no stages" in done.stderr
