"""Copies at rest: right in number and label, and the same however they are made."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.augmentation import copies as room
from headrace.augmentation import image_classification as pictures
from headrace.augmentation.copies import CopyPlan, plan_copies, write_copies
from headrace.augmentation.policy import PolicyConfig
from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_schema, read_table
from headrace.errors import DataError, ParamsError

TURN = PolicyConfig.model_validate({"affine": {"degrees": 20}, "noise": 0.05, "flip": "alternating"})


def plan(train, **changes):
    return plan_copies(train, **{"copies": 0, "balance_to": 0.0, "max_copies": 20, "seed": 1, **changes})


def copies_by_id(folder):
    table = read_table(folder)
    return dict(zip(table["id"].to_pylist(), (p.tobytes() for p in table["image"].chunk(0).to_numpy_ndarray()), strict=True))


def test_copies_keep_label_and_know_their_original(make_split, tmp_path):
    """A copy must be traceable, or a mistake on it cannot be explained."""
    train = make_split([0, 1, 2, 1]) / "train"

    write_copies(train, tmp_path / "out", pictures, TURN, plan(train, copies=2), seed=1)
    rows = read_table(tmp_path / "out").to_pylist()

    originals = {row["id"]: row for row in read_table(train).to_pylist()}
    assert len(rows) == 8
    assert len({row["id"] for row in rows} | set(originals)) == 12
    for row in rows:
        original, _, number = row["origin"].split()
        assert number in {"1", "2"}
        assert row["label"] == originals[original]["label"]
        assert row["source"] == "camera"
        assert row["split"] == "train"


def test_copies_have_the_schema_of_their_originals(make_split, tmp_path):
    """`train` reads both with the same code."""
    train = make_split([0, 1]) / "train"

    info = write_copies(train, tmp_path / "out", pictures, TURN, plan(train, copies=1), seed=1)

    assert read_schema(tmp_path / "out") == read_schema(train)
    assert (info.task, info.classes, info.record) == (read_info(train).task, read_info(train).classes, read_info(train).record)


def test_order_and_batches_do_not_change_a_copy(make_split, tmp_path, monkeypatch):
    """More workers, other shards or a new record must leave every other copy as it is."""
    labels = [0, 1, 2, 0, 1]
    forward = make_split(labels) / "train"
    backward = make_split(labels, folder="reversed", order=[4, 3, 2, 1, 0]) / "train"
    write_copies(forward, tmp_path / "a", pictures, TURN, plan(forward, copies=3), seed=1)
    monkeypatch.setattr(room, "COPY_ROWS", 2)

    write_copies(backward, tmp_path / "b", pictures, TURN, plan(backward, copies=3), seed=1)

    assert copies_by_id(tmp_path / "a") == copies_by_id(tmp_path / "b")


def test_made_twice_is_equal_to_the_byte(make_split, tmp_path):
    """DVC hashes these files."""
    train = make_split([0, 1, 2]) / "train"
    for name in ("a", "b"):
        write_copies(train, tmp_path / name, pictures, TURN, plan(train, copies=2), seed=1)

    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["dataset.json", "part-00000.parquet"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_seed_makes_other_copies_under_other_ids(make_split, tmp_path):
    """An id names content: the same id for two pictures would defeat every comparison."""
    train = make_split([0, 1]) / "train"
    for seed in (1, 2):
        write_copies(train, tmp_path / str(seed), pictures, TURN, plan(train, copies=1), seed=seed)

    first, second = copies_by_id(tmp_path / "1"), copies_by_id(tmp_path / "2")
    assert not set(first) & set(second)
    assert not set(first.values()) & set(second.values())


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["validation", "test"])
def test_other_splits_are_refused(make_split, tmp_path, name):
    """Augmenting what judges the model must be impossible, not discouraged."""
    folder = make_split([0, 1], name=name) / name

    with pytest.raises(DataError, match="only the training split is augmented"):
        write_copies(folder, tmp_path / "out", pictures, TURN, CopyPlan({0: 1}), seed=1)


@pytest.mark.badinput
def test_test_records_in_a_folder_called_train_are_refused(make_split, tmp_path):
    """A copied or renamed folder does not become training data."""
    train = make_split([0, 1], split="test") / "train"

    with pytest.raises(DataError, match="holds records of test"):
        write_copies(train, tmp_path / "out", pictures, TURN, CopyPlan({0: 1}), seed=1)


@pytest.mark.badinput
@pytest.mark.parametrize("labels", [[], [0]])
def test_empty_split_and_single_record_work(make_split, tmp_path, labels):
    """0 rows in, 0 rows out; one record gets its copies."""
    train = make_split(labels) / "train"

    info = write_copies(train, tmp_path / "out", pictures, TURN, plan(train, copies=2, balance_to=1.0), seed=1)

    assert info.rows == 2 * len(labels)


@pytest.mark.badinput
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (2, 7, 3), (3, 3, 4)])
def test_tiny_and_odd_shapes_work(make_split, tmp_path, shape):
    """1 x 1, grey, RGB and RGBA are all pictures."""
    train = make_split([0, 1], shape=shape) / "train"

    info = write_copies(train, tmp_path / "out", pictures, TURN, plan(train, copies=1), seed=1)

    assert info.rows == 2


@pytest.mark.badinput
def test_policy_larger_than_the_pictures_is_refused_by_its_key(make_split, tmp_path):
    """The message must name the line of params.yaml."""
    train = make_split([0, 1]) / "train"
    config = PolicyConfig.model_validate({"random_crop": {"pad": 5}})

    with pytest.raises(ParamsError, match=r"augment\.policy\.random_crop\.pad is 5, but the images are 6 x 5"):
        write_copies(train, tmp_path / "out", pictures, config, plan(train, copies=1), seed=1)


def test_scarce_class_is_raised_to_its_share(make_split, tmp_path):
    """Six of class 0 and one of class 1: half of the largest is three."""
    train = make_split([0] * 6 + [1]) / "train"

    info = write_copies(train, tmp_path / "out", pictures, TURN, plan(train, balance_to=0.5), seed=1)

    assert info.by_class == {"class 1": 2}


def test_balance_spreads_evenly_and_stops_at_the_limit(make_split):
    """No record of a class gets two copies more than another, none gets more than max_copies."""
    train = make_split([0] * 10 + [1] * 3 + [2]) / "train"

    found = plan(train, balance_to=1.0, max_copies=4)

    assert found.by_class == {0: 0, 1: 2, 2: 4}
    assert len(found.once_more) == 1
    assert found.once_more <= {f"{row:032x}" for row in (10, 11, 12)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(st.integers(-1, 3), max_size=9), copies=st.integers(0, 3), balance_to=st.sampled_from([0, 0.5, 1]))
def test_counts_are_what_the_params_say(make_split, tmp_path_factory, labels, copies, balance_to):
    """Label and count are kept: `copies` for each labelled record, the scarce ones up to their share, unlabelled ones none."""
    folder = tmp_path_factory.mktemp("counts")
    train = make_split(labels, folder=folder.name) / "train"

    write_copies(train, folder / "out", pictures, TURN, plan(train, copies=copies, balance_to=balance_to), seed=1)
    made = Counter(read_table(folder / "out")["label"].to_pylist())

    had = Counter(label for label in labels if label >= 0)
    largest = max(had.values(), default=0) * (1 + copies)
    assert dict(made) == {
        label: number
        for label, count in had.items()
        if (number := max(count * copies, min(round(balance_to * largest), count * 21) - count))
    }


def test_first_copy_is_the_picture_that_augment_picture_makes(make_split, tmp_path):
    """The contact sheet shows what is in the data set, not something like it."""
    train = make_split([0, 1]) / "train"
    write_copies(train, tmp_path / "out", pictures, TURN, plan(train, copies=1), seed=1)
    original = read_table(train)["image"].chunk(0).to_numpy_ndarray()[1]

    transform = pictures.in_batches(TURN, read_info(train).record, where="augment.policy")
    again = pictures.augment_picture(original, transform, seed=1, record_id=f"{1:032x}", copy=1)

    np.testing.assert_array_equal(read_table(tmp_path / "out")["image"].chunk(0).to_numpy_ndarray()[1], again)
