"""Pictures at rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.formats.record import RawRecord
from headrace.intake import image_classification as intake
from headrace.tasks import image_classification as task

OPTIONS = intake.RecordOptions(height=4, width=6, channels=3)
RECORD = intake.record_info(OPTIONS)


def picture(seed=0, size=(4, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def rows(*pictures, options=OPTIONS):
    raws = [RawRecord(pixels, None, "train", "mine", str(number)) for number, pixels in enumerate(pictures)]
    return intake.make_rows(raws, {}, options)


def test_features_are_flat_shares_of_white():
    """What classical baselines read."""
    features = task.features(rows(picture()), RECORD)

    assert features.dtype == np.float32
    assert features[0].tolist() == pytest.approx((picture().reshape(-1) / 255).tolist())


@given(st.integers(0, 1000), st.sampled_from([(28, 28, 1), (8, 8, 1), (32, 32, 3), (1, 1, 1), (5, 40, 3)]))
@settings(max_examples=30, deadline=None)
def test_equal_pictures_share_a_key_at_every_size(seed, size):
    """A candidate pair that is missed here can never be confirmed."""
    options = intake.RecordOptions(height=size[0], width=size[1], channels=size[2])
    table = rows(picture(seed, size), picture(seed, size), options=options)

    one, two = task.near_duplicate_keys(table, intake.record_info(options))
    assert one == two


def test_brightened_picture_shares_the_key_and_is_confirmed_by_tolerance():
    """The key finds candidates, the pixels decide."""
    smooth = np.add.outer(np.arange(28), 3 * np.arange(28)).astype(np.uint8)[:, :, None]
    options = intake.RecordOptions(height=28, width=28, channels=1)
    table = rows(smooth, smooth + 2, options=options)
    left, right = task.inputs(table, intake.record_info(options))

    assert len(set(task.near_duplicate_keys(table, intake.record_info(options)).tolist())) == 1
    assert task.are_near_duplicates(left[None], right[None], 0.01).tolist() == [True]
    assert task.are_near_duplicates(left[None], right[None], 0.005).tolist() == [False]


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_profiles_never_differ_more_than_the_pictures(seed, height, width, channels, low):
    """Else a near duplicate would be ruled out unseen."""
    left, right = np.random.default_rng(seed).integers(low, 256, (2, 5, height, width, channels), dtype=np.uint8)
    apart = np.abs(left.astype(float) - right).reshape(5, -1).mean(axis=1) / 255
    profiles = task.near_duplicate_profile(left), task.near_duplicate_profile(right)

    assert (np.abs(profiles[0] - profiles[1]).sum(axis=1) <= apart + 1e-6).all()


def test_inputs_are_a_view_of_one_chunk():
    """A data set that fills memory once must not fill it twice."""
    table = rows(picture())
    address = task.inputs(table, RECORD).__array_interface__["data"][0]

    assert address == table.column("image").chunk(0).storage.flatten().buffers()[1].address
