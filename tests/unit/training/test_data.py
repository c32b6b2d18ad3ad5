"""Samples and batches: the same at any step, in any order, in memory or mapped."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.training.tiny_training import make_batches, make_validation, squares, to_unit, write_squares

from headrace.errors import DataError, ParamsError
from headrace.tasks import image_classification as task
from headrace.training.data import Batches, Samples, check_labels, load_samples, stream_seed


def noisy(x, indices, epoch, generator):
    return x + torch.rand(x.shape, generator=generator)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.integers(0, 40), min_size=1, max_size=8), batch_size=st.integers(1, 16), augmented=st.booleans())
def test_any_step_in_any_order(steps, batch_size, augmented):
    """A batch is a function of the step, so a resumed training needs no data position."""
    options = {"augment": noisy} if augmented else {}
    forward = make_batches(batch_size=batch_size, **options)
    in_order = {step: tuple(part.clone() for part in forward.at(step)) for step in range(max(steps) + 1)}
    jumping = make_batches(batch_size=batch_size, **options)
    for step in steps:
        x, y = jumping.at(step)
        assert torch.equal(x, in_order[step][0])
        assert torch.equal(y, in_order[step][1])


def test_an_epoch_sees_every_sample_once():
    """Whole batches divide the data here, so nothing is left over and nothing comes twice."""
    batches = make_batches(count=48, batch_size=8)
    seen = torch.cat([batches.at(step)[0].flatten(1).sum(1) for step in range(batches.per_epoch)])
    images, _ = squares(48)
    expected = ((to_unit(torch.from_numpy(images)) - 0.5) * 2).flatten(1).sum(1)

    torch.testing.assert_close(seen.sort().values, expected.sort().values)


@settings(max_examples=10, deadline=None)
@given(batch_size=st.integers(1, 16), augmented=st.booleans())
def test_batches_of_like_lengths_hold_what_an_epoch_holds(batch_size, augmented):
    """Sorting within a chunk moves samples between batches and loses none; any step can still be asked for alone."""
    lengths = torch.arange(48) * 7 % 31
    options = {"augment": noisy} if augmented else {}
    bucketed, other = (make_batches(batch_size=batch_size, lengths=lengths, **options) for _ in range(2))
    last = bucketed.per_epoch - 1
    alone = [part.clone() for part in other.at(last)]
    seen = [tuple(part.clone() for part in bucketed.at(step)) for step in range(bucketed.per_epoch)]

    assert all(torch.equal(found, wanted) for found, wanted in zip(alone, seen[last], strict=True))
    if not augmented:
        pictures = torch.cat([x.flatten(1) for x, _ in seen])
        assert len(torch.unique(pictures, dim=0)) == bucketed.per_epoch * batch_size


def test_like_lengths_come_together_in_no_order_of_length():
    """Little is filled up, and no epoch goes from short to long."""
    lengths = torch.arange(2048) % 64 + 1
    batches = Batches(
        torch.arange(2048).view(-1, 1),
        torch.zeros(2048, dtype=torch.int64),
        batch_size=16,
        seed=3,
        device=torch.device("cpu"),
        prepare=lambda x: x,
        normalise=lambda x: x,
        lengths=lengths,
    )
    found = [lengths[batches.at(step)[0].flatten()] for step in range(batches.per_epoch)]
    longest = [int(each.max()) for each in found]

    assert len(lengths) == len(torch.unique(torch.cat([batches.at(step)[0] for step in range(batches.per_epoch)])))
    assert max(int(each.max() - each.min()) for each in found) <= 2
    assert longest != sorted(longest)


def test_epochs_have_different_orders():
    """The same order every epoch would also drop the same left-over samples every time."""
    batches = make_batches()

    assert not torch.equal(batches.at(0)[0], batches.at(batches.per_epoch)[0])


def test_cache_changes_no_bit():
    """Whether prepared inputs fit in memory is the machine's business."""
    cached, plain = make_batches(cache_bytes=10**9), make_batches()

    assert all(torch.equal(cached.at(step)[0], plain.at(step)[0]) for step in range(12))


def test_mapped_inputs_equal_resident_ones(splits, tmp_path):
    """Data beyond the memory budget come from a file, with the same bits."""
    resident = load_samples([splits / "train", tmp_path / "augmented"], task)
    mapped = load_samples([splits / "train", tmp_path / "augmented"], task, scratch=tmp_path / "s" / "mapped", budget_bytes=10)

    assert (tmp_path / "s" / "mapped").stat().st_size == 96 * 64
    assert torch.equal(resident.inputs, mapped.inputs)
    assert torch.equal(resident.labels, mapped.labels)
    assert resident.ids == mapped.ids


def test_folders_are_read_one_after_the_other(splits):
    """A refit trains on train plus validation."""
    assert len(load_samples([splits / "train", splits / "validation"], task)) == 120


@pytest.mark.badinput
def test_no_records_is_an_error(tmp_path):
    """Training on nothing must not end as a trained model."""
    write_squares(tmp_path / "empty", 0)

    with pytest.raises(DataError, match="no records"):
        load_samples([tmp_path / "empty"], task)


@pytest.mark.badinput
def test_fewer_samples_than_a_batch_is_an_error():
    """Dropping the only, incomplete batch would train on nothing."""
    with pytest.raises(ParamsError, match=r"train\.batch_size is 64, but there are only 48 training records"):
        make_batches(count=48, batch_size=64)


def labelled(*labels: int) -> Samples:
    return Samples(torch.zeros(len(labels), 1), torch.tensor(labels), [f"id{i}" for i in range(len(labels))])


@pytest.mark.badinput
@pytest.mark.parametrize("wrong", [-1, 3, 99])
def test_label_out_of_range_is_refused(wrong):
    """On a GPU it would be a device-side assert without a name; -1 means that nobody labelled the record."""
    with pytest.raises(DataError, match=rf"1 records have a label outside 0\.\.2, such as {wrong} of record id1"):
        check_labels(labelled(0, wrong, 2), ["a", "b", "c"])


@pytest.mark.badinput
def test_one_class_is_refused():
    """A model that always gives the only answer has accuracy 1 and no use."""
    with pytest.raises(DataError, match="all 3 training records are of class 'b'"):
        check_labels(labelled(1, 1, 1), ["a", "b"])


def test_stream_seeds_differ_by_purpose():
    """Order and augmentation must not draw the same numbers."""
    seeds = {stream_seed(1, "order", 0), stream_seed(1, "order", 1), stream_seed(2, "order", 0), stream_seed(1, "augment", 0, 0)}

    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_validation_is_in_order():
    """Every record once, labels beside their inputs."""
    parts = list(make_validation(2500).parts())

    assert [len(y) for _, y in parts] == [1000, 1000, 500]
    assert torch.cat([y for _, y in parts]).tolist() == [i % 3 for i in range(2500)]
