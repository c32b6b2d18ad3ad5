"""The policy: what params promise is what happens to a batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.augmentation.policy import PolicyConfig, build_policy
from headrace.errors import ParamsError
from headrace.params import parse_section

EVERYTHING = {
    "random_crop": {"pad": 1, "mode": "reflect", "offset_per": "sample"},
    "flip": "random",
    "affine": {"degrees": 10, "translate": 0.1, "scale": 0.1, "shear": 5},
    "elastic": {"reach_px": 1.0, "cell_px": 3},
    "brightness": 0.1,
    "contrast": 0.2,
    "noise": 0.02,
    "cutout": 2,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int = 6, shape: tuple[int, int, int] = (3, 8, 8)) -> torch.Tensor:
    return torch.rand(batch, *shape, generator=seeded(99))


def test_empty_policy_changes_nothing():
    """Leaving augmentation out must be the plain training."""
    x = pictures()

    assert torch.equal(build_policy(PolicyConfig(), (3, 8, 8))(x, torch.arange(6), 0, seeded()), x)
    assert PolicyConfig().is_empty()


def test_same_generator_same_pictures():
    """Exact resume restores the generator, and nothing else may decide."""
    x, index = pictures(), torch.arange(6)
    policy = build_policy(PolicyConfig.model_validate(EVERYTHING), (3, 8, 8))

    assert torch.equal(policy(x, index, 3, seeded(5)), policy(x, index, 3, seeded(5)))
    assert not torch.equal(policy(x, index, 3, seeded(5)), policy(x, index, 3, seeded(6)))


def test_input_batch_is_left_alone():
    """The training set stays on the device; a transform in place would wear it away."""
    x = pictures()
    before = x.clone()

    build_policy(PolicyConfig.model_validate(EVERYTHING), (3, 8, 8))(x, torch.arange(6), 1, seeded())

    assert torch.equal(x, before)


def test_alternating_flip_shows_each_record_both_ways_in_two_epochs():
    """The point of alternating: no record is seen the same way twice in a row."""
    x, index = pictures(), torch.arange(6)
    policy = build_policy(PolicyConfig(flip="alternating"), (3, 8, 8))

    even, odd, again = (policy(x, index, epoch, seeded()) for epoch in (0, 1, 2))

    assert torch.equal(even.flip(-1), odd)
    assert torch.equal(even, again)
    assert not torch.equal(even, x)
    assert not torch.equal(odd, x)


def test_alternating_flip_starts_with_about_half_the_records():
    """All in one direction would make every epoch one-sided."""
    x = torch.zeros(10_000, 1, 1, 2)
    x[..., 0] = 1

    flipped = build_policy(PolicyConfig(flip="alternating"), (1, 1, 2))(x, torch.arange(10_000), 0, seeded())

    assert 4_800 < flipped[:, 0, 0, 1].sum().item() < 5_200


def test_half_shares_one_offset_in_each_half():
    """The fast crop: as the hand-written loops do it."""
    x = pictures(1).expand(6, -1, -1, -1)
    policy = build_policy(PolicyConfig.model_validate({"random_crop": {"pad": 2}}), (3, 8, 8))

    moved = policy(x, torch.arange(6), 0, seeded(1))

    assert torch.equal(moved[0], moved[2])
    assert torch.equal(moved[3], moved[5])
    assert not torch.equal(moved[0], moved[3])


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(0, 4),
    channels=st.sampled_from([1, 3]),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    channels_last=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_batch_keeps_shape_and_range(batch, channels, height, width, channels_last, seed):
    """Grey or RGB, empty or not, square or not: same shape, finite, within [0, 1]."""
    x = pictures(batch, (channels, height, width))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    policy = build_policy(PolicyConfig.model_validate(EVERYTHING), (channels, height, width))

    changed = policy(x, torch.arange(batch), 1, seeded(seed))

    assert changed.shape == x.shape
    assert changed.dtype == torch.float32
    assert bool(((changed >= -1e-6) & (changed <= 1 + 1e-6)).all())


def test_one_pixel_images_pass_through_what_fits_them():
    """1 x 1 is a legal image: rotating and lighting it must not fail."""
    config = PolicyConfig.model_validate({"flip": "random", "affine": {"degrees": 90}, "brightness": 0.1, "cutout": 1})

    changed = build_policy(config, (1, 1, 1))(pictures(3, (1, 1, 1)), torch.arange(3), 0, seeded())

    assert changed.shape == (3, 1, 1, 1)
    assert bool(changed.isfinite().all())


@pytest.mark.parametrize(
    ("policy", "shape", "key"),
    [
        ({"random_crop": {"pad": 8}}, (3, 8, 8), "random_crop.pad is 8"),
        ({"random_crop": {"pad": 1}}, (1, 1, 1), "random_crop.pad is 1"),
        ({"cutout": 9}, (3, 32, 8), "cutout is 9"),
        ({"elastic": {"reach_px": 8}}, (1, 8, 8), "elastic.reach_px is 8"),
    ],
)
def test_transform_larger_than_the_image_is_refused(policy, shape, key):
    """A crop by a whole image trains on black squares, silently."""
    with pytest.raises(ParamsError, match=key) as caught:
        build_policy(PolicyConfig.model_validate(policy), shape, where="augment.policy")

    assert f"{shape[1]} x {shape[2]} pixels" in str(caught.value)
    assert str(caught.value).startswith("augment.policy.")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"affine": {}}, "affine has no degrees"),
        ({"random_crop": {"pad": 0}}, "augment.random_crop.pad"),
        ({"flip": "sometimes"}, "'random'"),
        ({"brightnes": 0.1}, "Did you mean 'brightness'"),
        ({"noise": -1}, "augment.noise"),
    ],
)
def test_params_that_mean_nothing_are_refused(values, message):
    """A typing error must not train without augmentation."""
    with pytest.raises(ParamsError, match=message):
        parse_section(values, "augment", PolicyConfig, where="params.yaml")


def test_a_transform_of_ones_own_comes_last_and_keeps_the_shape(tmp_path, monkeypatch):
    """`own` in augment.policy and train.augmentation."""
    (tmp_path / "own_transform_code.py").write_text(
        "def darker(images, draw):\n    return images * (0.5 + draw.uniform(1).abs() * 0)\n"
        "def smaller(images, draw):\n    return images[..., :-1]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    x = pictures()

    def changed(name: str) -> torch.Tensor:
        return build_policy(PolicyConfig(own=name), (3, 8, 8))(x, torch.arange(6), 0, seeded())

    torch.testing.assert_close(changed("own_transform_code:darker"), x * 0.5)
    with pytest.raises(ParamsError, match="shape and type must stay"):
        changed("own_transform_code:smaller")
    with pytest.raises(ParamsError, match="module:function"):
        changed("darker")
