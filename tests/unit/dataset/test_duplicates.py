"""Near duplicates across splits."""

import numpy as np
import pytest
from tests.measured import write_records

from headrace.dataset import duplicates
from headrace.dataset.duplicates import candidates, find_near_duplicates
from headrace.dataset.splits import DROPPED, TEST, TRAIN, VALIDATION
from headrace.listening import SilentProgress


class Numbers:
    """A task whose payload is one number: near within the tolerance, candidates within ten."""

    def inputs(self, table, record):
        return np.array(table["serial"].to_pylist(), dtype=np.int64).reshape(-1, 1)

    def near_duplicate_keys(self, table, record):
        return (self.inputs(table, record)[:, 0] // 10).astype(np.uint64)

    def are_near_duplicates(self, left, right, tolerance):
        return np.abs(left - right)[:, 0] <= tolerance


@pytest.fixture
def partners(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates._Payload, "tables", lambda self: duplicates.iter_tables(self.data, ["serial"]))

    def find(serial, splits):
        data = write_records(tmp_path / "data", len(serial), serial=serial)
        found = find_near_duplicates(data, np.array(splits, dtype=np.int8), Numbers(), tolerance=1, progress=SilentProgress())
        return found.partner.tolist()

    return find


def test_what_stands_near_a_higher_split_is_found(partners):
    """Confirmed on the content: 5 shares the key of 1 but is not near it."""
    assert partners([1, 2, 5, 30], [TEST, TRAIN, TRAIN, TRAIN]) == [-1, 0, -1, -1]


def test_validation_near_test_leaves_first(partners):
    """Train is compared with the validation records that stay."""
    assert partners([10, 11, 12], [TEST, VALIDATION, TRAIN]) == [-1, 0, -1]


def test_pairs_within_one_split_are_left_alone(partners):
    """They leak nothing."""
    assert partners([1, 1, 2], [TRAIN, TRAIN, TRAIN]) == [-1, -1, -1]


def test_dropped_records_are_not_compared(partners):
    """What is not there cannot leak."""
    assert partners([1, 1], [DROPPED, TRAIN]) == [-1, -1]


@pytest.mark.parametrize(("block_bytes", "pair_bytes"), [(1, 1), (64, 24), (2**20, 2**20)])
def test_result_does_not_depend_on_the_block_size(partners, monkeypatch, block_bytes, pair_bytes):
    """Blocks bound memory; they must not change what is found."""
    monkeypatch.setattr(duplicates, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(duplicates, "PAIR_BYTES", pair_bytes)
    rng = np.random.default_rng(7)
    serial, splits = rng.integers(0, 60, 120), rng.integers(0, 3, 120)
    found = partners(serial.tolist(), splits.tolist())

    assert found == _by_hand(serial, splits)


def _by_hand(serial, splits):
    near = (np.abs(serial[:, None] - serial[None]) <= 1) & (serial[:, None] // 10 == serial[None] // 10)
    partner = np.full(len(serial), -1)
    for index in np.flatnonzero(splits != TEST):
        partner[index] = next(iter(np.flatnonzero(near[index] & (splits == TEST))), -1)
    stays = (splits == VALIDATION) & (partner < 0)
    for index in np.flatnonzero((splits == TRAIN) & (partner < 0)):
        partner[index] = next(iter(np.flatnonzero(near[index] & stays)), -1)
    return partner.tolist()


def test_candidates_share_a_key_with_another_split():
    """Only their payload is read."""
    keys, splits = np.array([5, 5, 7, 7, 9], dtype=np.uint64), np.array([TEST, TRAIN, TRAIN, TRAIN, TEST])

    assert candidates(keys, splits).tolist() == [0, 1]
