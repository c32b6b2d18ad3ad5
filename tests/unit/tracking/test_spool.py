"""Metrics on their way."""

import json

import pytest

from headrace.tracking.facts import RunFacts
from headrace.tracking.spool import Spool, SpoolReader, waiting


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path, "f1")
    assert spool.open()
    yield spool
    spool.close()


def test_reader_sees_complete_lines_in_order(spool):
    """The sender reads behind the writer; half a line is not a metric yet."""
    spool.begin(RunFacts(params={}))
    spool.metrics(3, 1000, {"loss": 0.5})
    with spool.path.open("ab") as file:
        file.write(b'{"step": 4, "metr')
    lines, _ = SpoolReader(spool.path).read()

    assert [line.get("step") for line in lines] == [None, 3]


def test_a_line_cut_by_a_kill_does_not_hurt_the_next(tmp_path):
    """The process that resumes a training appends to the same file."""
    (tmp_path / "f1.jsonl").write_bytes(b'{"step": 1, "time": 1, "metrics": {}}\n{"step": 2, "me')
    spool = Spool(tmp_path, "f1")
    spool.open()
    spool.metrics(3, 1000, {"loss": 0.5})
    spool.close()
    lines, _ = SpoolReader(spool.path).read()

    assert [line["step"] for line in lines] == [1, 3]


def test_nan_and_infinity_survive(spool):
    """A diverging loss is the metric one wants to see."""
    spool.metrics(0, 1, {"a": float("nan"), "b": float("inf")})

    assert json.loads(spool.path.read_text())["metrics"] == {"a": "nan", "b": "inf"}


def test_one_writer_at_a_time(spool, tmp_path):
    """A replay must not send, and then delete, what a living training writes."""
    assert not Spool(tmp_path, "f1").open()
    assert list(waiting(tmp_path)) == []

    spool.close()
    (found,) = waiting(tmp_path)
    found.close()

    assert found.fingerprint == "f1"


def test_reading_goes_on_where_it_was_confirmed(spool):
    """Lines whose sending failed are read again, lines that were sent are not."""
    for step in range(5):
        spool.metrics(step, 1, {})
    reader = SpoolReader(spool.path)
    first, position = reader.read(max_lines=2)
    again, _ = reader.read(max_lines=2)
    reader.advance(position)
    rest, _ = reader.read()

    assert first == again
    assert [line["step"] for line in rest] == [2, 3, 4]
