"""Which split a record belongs to."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as example_of
from hypothesis import settings
from hypothesis import strategies as st

from headrace.dataset.splits import (
    DROPPED,
    TEST,
    TRAIN,
    VALIDATION,
    Assignment,
    assign_by_key,
    assign_by_order,
    codes,
    contradictory,
    given_splits,
    group_keys,
    outranked,
    refuse_missing_classes,
    repeated,
    uniform,
)
from headrace.errors import DataError

KEYS = st.lists(st.text(max_size=6), max_size=40)
GIVEN = st.sampled_from([DROPPED, TRAIN, VALIDATION, TEST])


def free(keys):
    return np.full(len(keys), DROPPED, dtype=np.int8)


def test_draws_are_those_of_every_machine():
    """Changing the recipe of the hash would move every record of every user."""
    assert uniform(["a", "ü"], seed=17, purpose="test").tolist() == [0.42823692956106096, 0.39392342010791137]


def test_draws_are_uniform():
    """Shares follow in expectation: 20,000 draws stay within four standard errors in each tenth."""
    counts, _ = np.histogram(uniform([str(i) for i in range(20_000)], seed=1, purpose="x"), bins=10, range=(0, 1))

    assert np.abs(counts - 2000).max() < 4 * np.sqrt(2000 * 0.9)


@settings(max_examples=60, deadline=None)
@example_of(KEYS, KEYS, st.integers(0, 99))
def test_new_records_move_no_old_one(old, new, seed):
    """A test record that moved into train would have been seen."""
    before = assign_by_key(old, free(old), seed=seed, test=0.3, validation=0.3)
    after = assign_by_key([*new, *old], free([*new, *old]), seed=seed, test=0.3, validation=0.3)

    assert np.array_equal(before, after[len(new) :])


@settings(max_examples=60, deadline=None)
@example_of(KEYS, st.data())
def test_given_splits_hold(keys, data):
    """What a source calls test is test; what it calls train is never test."""
    given = np.array(data.draw(st.lists(GIVEN, min_size=len(keys), max_size=len(keys))), dtype=np.int8)
    splits = assign_by_key(keys, given, seed=3, test=0.5, validation=0.5)

    assert (splits[given == TEST] == TEST).all()
    assert (splits[given == VALIDATION] == VALIDATION).all()
    assert (splits[given == TRAIN] != TEST).all()
    assert (splits != DROPPED).all()


@settings(max_examples=100, deadline=None)
@example_of(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), GIVEN), max_size=60))
def test_no_id_and_no_group_straddles(records):
    """Whatever ids, groups and given splits come together."""
    ids, groups, given = (
        (np.array(column, dtype=np.int64) for column in zip(*records, strict=True)) if records else [np.empty(0, int)] * 3
    )
    assignment = Assignment(assign_by_key([str(g) for g in groups], given.astype(np.int8), seed=5, test=0.3, validation=0.3))
    assignment.drop("id", outranked(ids, assignment.splits))
    assignment.drop("group", outranked(groups, assignment.splits))
    assignment.drop("again", repeated(ids, assignment.splits))

    kept = assignment.splits != DROPPED
    for keys in (ids, groups):
        pairs = {(key, split) for key, split in zip(keys[kept], assignment.splits[kept], strict=True)}
        assert len(pairs) == len({key for key, _ in pairs})
    assert len(set(ids[kept])) == kept.sum()
    assert kept.sum() + sum(len(positions) for positions in assignment.dropped.values()) == len(records)


def test_the_same_record_twice_in_one_split_stays_once():
    """The first is kept, dropped ones do not count as first."""
    assert repeated(np.array([0, 0, 1, 0]), np.array([DROPPED, TRAIN, TRAIN, TRAIN])).tolist() == [False, False, False, True]


def test_contradiction_needs_two_known_labels():
    """An unknown label contradicts nothing."""
    ids, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 2, 3, -1, 4, 4])

    assert contradictory(ids, labels).tolist() == [True, True, False, False, False, False]


def test_a_record_is_dropped_once_for_the_first_cause():
    """Counts by cause must add up."""
    assignment = Assignment(np.array([TRAIN, TEST], dtype=np.int8))
    assignment.drop("one", np.array([True, False]))
    assignment.drop("two", np.array([True, True]))

    assert {cause: p.tolist() for cause, p in assignment.dropped.items()} == {"train: one": [0], "test: two": [1]}


def test_codes_follow_first_appearance():
    """Equal text, equal number, over chunks too."""
    assert codes(pa.chunked_array([["b", "a"], ["b"]])).tolist() == [0, 1, 0]


@pytest.mark.badinput
def test_an_unknown_split_name_is_refused():
    """'valid' must not silently become train."""
    with pytest.raises(DataError, match="split 'valid'"):
        given_splits(["train", "valid"])


@pytest.mark.badinput
@pytest.mark.parametrize("values", [pa.chunked_array([["a", None]]), pa.chunked_array([[1.5, 2.0]])])
def test_a_group_needs_a_name(values):
    """A record without a group could stand anywhere."""
    with pytest.raises(DataError, match="group"):
        group_keys(values, column="patient")


def test_a_group_can_be_a_part_of_a_name():
    """A file name has the patient and the number of the picture."""
    names = pa.chunked_array([["scans/patient-12/3.png", "scans/patient-7/1.png"]])

    assert group_keys(names, column="origin", pattern=r"patient-(\d+)") == ["12", "7"]
    assert group_keys(names, column="origin", pattern=r"patient-\d+") == ["patient-12", "patient-7"]


@pytest.mark.badinput
def test_a_name_without_the_group_is_refused_with_an_example():
    """It could stand anywhere."""
    with pytest.raises(DataError, match=r"not found in 'origin' of 1 records, such as 'scans/unknown.png'"):
        group_keys(pa.chunked_array([["patient-1.png", "scans/unknown.png"]]), column="origin", pattern=r"patient-(\d+)")


@pytest.mark.badinput
def test_a_class_missing_from_a_split_is_refused_with_advice():
    """A test without a class says nothing about it."""
    with pytest.raises(DataError, match=r"'validation' has no record of 1 of 2 classes, such as 'b' \(1 in train, 1 in test\)"):
        refuse_missing_classes(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 0, 0, 1]), ["a", "b"])


@pytest.mark.badinput
def test_a_split_without_a_record_is_refused():
    """Also where there are no classes."""
    with pytest.raises(DataError, match="'test' has no record"):
        refuse_missing_classes(np.array([0, 1]), np.array([-1, -1]), [])


def test_by_order_the_last_records_are_held_out():
    """Running text: a held-out line must not stand between lines that are trained on."""
    found = assign_by_order(free(range(20)), test=0.1, validation=0.5)

    assert found.tolist() == [TRAIN] * 9 + [VALIDATION] * 9 + [TEST] * 2


def test_by_order_a_given_split_stays():
    """The end of what is given as train is carved for validation; what is given as test is all of it."""
    given = np.array([TRAIN] * 4 + [TEST] * 3, dtype=np.int8)

    assert assign_by_order(given, test=0.5, validation=0.25).tolist() == [TRAIN] * 3 + [VALIDATION] + [TEST] * 3
