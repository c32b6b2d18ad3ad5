"""The ledger shows every change that was made to it."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from headrace.errors import RegistryError
from headrace.registry.ledger import append, champions, changes, read


def promote(path, version, *, action="promote", model="digits", previous=None):
    return append(
        path,
        time="2026-01-01T00:00:00+00:00",
        action=action,
        model=model,
        version=version,
        previous_version=previous,
        package="a" * 64,
        actor="ada",
        reasons=["better"],
        evidence={"difference": 0.01},
    )


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "state" / "ledger.jsonl"
    for version in range(1, 5):
        promote(path, version, previous=version - 1 or None)
    return path


def test_entries_are_chained_and_numbered(ledger):
    """Each entry names the one before it by digest."""
    entries = read(ledger)

    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert [entry.previous for entry in entries[1:]] == [entry.digest for entry in entries[:-1]]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(ledger, data):
    """History that can be rewritten in silence is no evidence."""
    content = ledger.read_bytes()
    place = data.draw(st.integers(0, len(content) - 2))
    byte = data.draw(st.integers(0, 255))
    assume(content[place] != byte)
    copy = ledger.with_name("copy.jsonl")
    copy.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])

    with pytest.raises(RegistryError, match=r"line \d"):
        read(copy)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.lists(st.integers(0, 3), max_size=6))
def test_any_removal_move_or_repetition_of_lines_is_found(ledger, order):
    """Every line is intact by itself: the chain shows the rest. Only a cut-off end is left to the marks in the registry."""
    lines = ledger.read_bytes().splitlines(keepends=True)
    assume(order != list(range(len(order))))
    copy = ledger.with_name("copy.jsonl")
    copy.write_bytes(b"".join(lines[index] for index in order))

    with pytest.raises(RegistryError):
        read(copy)


def test_a_line_cut_by_a_crash_is_dropped_by_the_next_entry(ledger):
    """It was never acknowledged; the chain goes on from the last whole entry."""
    with ledger.open("ab") as file:
        file.write(b'{"action": "promo')

    assert len(read(ledger)) == 4
    assert promote(ledger, 5).sequence == 5
    assert len(read(ledger)) == 5


def test_nothing_is_added_to_a_broken_chain(ledger):
    """An entry on top would hide the break behind a fresh date."""
    ledger.write_bytes(ledger.read_bytes().replace(b'"ada"', b'"eve"', 1))

    with pytest.raises(RegistryError, match="line 1"):
        promote(ledger, 5)


def test_rollbacks_go_back_one_champion_at_a_time(ledger):
    """After 4 -> 3 a second rollback goes to 2, not to 4 again."""
    promote(ledger, 3, action="rollback", previous=4)

    assert champions(read(ledger), "digits") == [1, 2, 3]
    promote(ledger, 5)
    assert champions(read(ledger), "digits") == [1, 2, 3, 5]
    assert champions(read(ledger), "other") == []


def test_a_look_changes_no_champion_and_cannot_be_rewritten(ledger):
    """A look that spent less would give budget back: its numbers are part of the chain."""
    promote(ledger, 5, action="look", previous=4)
    promote(ledger, 6, previous=4)

    assert champions(read(ledger), "digits") == [1, 2, 3, 4, 6]
    assert [entry.version for entry in changes(read(ledger))] == [1, 2, 3, 4, 6]
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:4], lines[4].replace(b"0.01", b"0.00"), lines[5]]))
    with pytest.raises(RegistryError, match="line 5: this entry was changed"):
        read(ledger)
    ledger.write_bytes(b"".join([*lines[:4], lines[5]]))
    with pytest.raises(RegistryError, match="line 5: an entry before this one was removed"):
        read(ledger)
