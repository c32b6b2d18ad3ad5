"""Near duplicates across splits."""

import numpy as np
import pyarrow as pa
import pytest
from tests.measured import write_records

from headrace.dataset import duplicates
from headrace.dataset.duplicates import candidates, find_near_duplicates
from headrace.dataset.shards import ShardWriter
from headrace.dataset.splits import DROPPED, TEST, TRAIN, VALIDATION
from headrace.listening import SilentProgress
from headrace.tasks import image_classification


class Numbers:
    """A task whose payload is one number: near within the tolerance, candidates within ten."""

    def inputs(self, table, record):
        return np.array(table["serial"].to_pylist(), dtype=np.int64).reshape(-1, 1)

    def near_duplicate_keys(self, table, record):
        return (self.inputs(table, record)[:, 0] // 10).astype(np.uint64)

    def near_duplicate_profile(self, inputs):
        return inputs.astype(np.float32) / 2  # lets through what is up to twice as far

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


def test_profiles_spare_comparisons_and_change_nothing(partners, monkeypatch):
    """A large key is compared by profile first; where they do not let through too many, the first near record is found as before."""
    monkeypatch.setattr(duplicates, "FEW_PAIRS", 0)
    monkeypatch.setattr(duplicates, "PAIR_BYTES", 24)
    rng = np.random.default_rng(8)
    serial, splits = rng.integers(0, 60, 120), rng.integers(0, 3, 120)

    assert partners(serial.tolist(), splits.tolist()) == _by_hand(serial, splits)


class Pictures:
    """The task of pictures, all under one key, that counts the pairs it is asked about."""

    inputs = staticmethod(image_classification.inputs)
    near_duplicate_profile = staticmethod(image_classification.near_duplicate_profile)

    def __init__(self):
        self.pairs = 0

    def near_duplicate_keys(self, table, record):
        return np.zeros(table.num_rows, dtype=np.uint64)

    def are_near_duplicates(self, left, right, tolerance):
        self.pairs += len(left)
        return image_classification.are_near_duplicates(left, right, tolerance)


@pytest.fixture
def crowd(tmp_path):
    """Nearly white pictures of 8 x 8 under one key, a fifth of them test."""

    def find(rows, *, noise, tolerance, copies=()):
        rng = np.random.default_rng(5)
        pixels = rng.integers(255 - noise, 256, (rows, 8, 8, 1), dtype=np.uint8)
        for copy, of in copies:
            pixels[copy] = pixels[of]
            pixels[copy, 0, 0] -= 1
        splits = np.where(np.arange(rows) % 5 == 0, TEST, TRAIN).astype(np.int8)
        payload = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
        record = {"payload": "image", "shape": [8, 8, 1], "dtype": "uint8"}
        schema = pa.schema([("id", pa.string()), ("image", payload.type), ("label", pa.int64()), ("split", pa.string())])
        columns = [[f"{row:032x}" for row in range(rows)], payload, [0] * rows, [""] * rows]
        with ShardWriter(tmp_path / "crowd", schema, task="image_classification", classes=["a"], record=record) as writer:
            writer.write(pa.table(columns, schema=schema))
        task = Pictures()
        found = find_near_duplicates(tmp_path / "crowd", splits, task, tolerance=tolerance, progress=SilentProgress())
        return found, task.pairs

    return find


def test_twenty_thousand_that_are_all_alike_are_compared_once_each(crowd):
    """One comparison confirms each, so nothing is left for the second."""
    found, pairs = crowd(20_000, noise=2, tolerance=0.02)

    assert (found.partner[np.arange(20_000) % 5 != 0] == 0).all()
    assert found.crowded == 0
    assert pairs <= 20_000 * 64


def test_twenty_thousand_with_one_key_and_no_pair_stay_affordable(crowd):
    """64 million pairs would be compared; and what stands near is found all the same, being the most alike."""
    copies = [(1, 19_995), (7777, 5), (19_999, 10_000)]
    found, pairs = crowd(20_000, noise=100, tolerance=0.01, copies=copies)

    assert {(at, int(found.partner[at])) for at in np.flatnonzero(found.partner >= 0)} == set(copies)
    assert pairs < 20_000 * 200


def test_a_crowd_is_counted_where_it_was_not_compared_with_all(crowd, monkeypatch):
    """The report says so, rather than promise what was not looked at."""
    monkeypatch.setattr(duplicates, "MAX_ALIKE", 3)
    monkeypatch.setattr(duplicates, "FEW_PAIRS", 0)
    monkeypatch.setattr(duplicates, "PAIR_BYTES", 64)
    found, _ = crowd(100, noise=10, tolerance=0.005)

    assert 0 < found.crowded <= 80


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
