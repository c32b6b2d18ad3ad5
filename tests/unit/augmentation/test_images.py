"""Transforms against plain, slow references."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from headrace.augmentation import images


def numbered(batch: int, channels: int, height: int, width: int) -> Tensor:
    """Images whose pixels all differ, so that one in a wrong place is seen."""
    count = batch * channels * height * width
    return (torch.arange(count).reshape(batch, channels, height, width) + 1) / count


def shifted(image: np.ndarray, down: int, right: int, fill: str) -> np.ndarray:
    """A shift written with numpy's padding: pad by the shift on both sides, cut the image out again."""
    pad = max(abs(down), abs(right))
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="constant" if fill == "zeros" else "reflect")
    height, width = image.shape[1:]
    return padded[:, pad - down : pad - down + height, pad - right : pad - right + width]


sizes = st.integers(1, 7)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), batch=st.integers(0, 5), channels=st.sampled_from([1, 3]), height=sizes, width=sizes)
@pytest.mark.parametrize("fill", ["zeros", "reflect"])
def test_shifts_agree_with_padding_and_cutting(data, fill, batch, channels, height, width):
    """The fast shift and the one per sample must both be the plain 'pad, then crop' that everybody means."""
    x = numbered(batch, channels, height, width)
    reach = min(height, width) - 1
    offset = st.tuples(st.integers(-reach, reach), st.integers(-reach, reach))
    first, second = data.draw(offset), data.draw(offset)
    half = -(-batch // 2)
    offsets = [first] * half + [second] * (batch - half)

    expected = [shifted(image.numpy(), *offset, fill) for image, offset in zip(x, offsets, strict=True)]
    together = images.shift_together(x, [first, second], fill)
    down, right = torch.tensor(offsets, dtype=torch.int64).reshape(-1, 2).unbind(1)
    each = images.shift_each(x, down, right, fill)

    np.testing.assert_array_equal(together.numpy(), np.array(expected, dtype=np.float32).reshape(x.shape))
    np.testing.assert_array_equal(each.numpy(), np.array(expected, dtype=np.float32).reshape(x.shape))


def test_flip_mirrors_only_the_chosen():
    """A flip of the wrong record would not be noticed in any loss curve."""
    x = numbered(3, 1, 2, 4)

    flipped = images.flip_where(x, torch.tensor([False, True, False]))

    assert torch.equal(flipped[[0, 2]], x[[0, 2]])
    assert torch.equal(flipped[1], x[1].flip(-1))


def test_warp_by_the_identity_changes_nothing():
    """Ranges of zero must not blur."""
    x = numbered(2, 3, 5, 7)
    nothing = torch.zeros(2)

    matrices = images.affine_matrices(nothing, nothing, nothing, nothing + 1, nothing, height=5, width=7)

    torch.testing.assert_close(images.warp(x, matrices, None, "zeros"), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (4, 8)])
def test_half_a_turn_is_the_picture_upside_down(height, width):
    """Angles must be true on pictures that are not square as well."""
    x = numbered(1, 1, height, width)
    zero, one = torch.zeros(1), torch.ones(1)

    matrices = images.affine_matrices(zero + 180, zero, zero, one, zero, height=height, width=width)

    torch.testing.assert_close(images.warp(x, matrices, None, "zeros"), x.flip(2, 3), atol=1e-5, rtol=0)


def test_quarter_turn_of_a_square_is_numpys():
    """Checked against an independent rotation, direction included."""
    x = numbered(1, 1, 5, 5)
    zero, one = torch.zeros(1), torch.ones(1)

    matrices = images.affine_matrices(zero + 90, zero, zero, one, zero, height=5, width=5)

    torch.testing.assert_close(images.warp(x, matrices, None, "zeros"), torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)


def test_affine_shift_of_one_pixel_is_the_shift():
    """Shares of the size must mean what they say, in the stated direction."""
    x = numbered(1, 1, 4, 8)
    zero, one = torch.zeros(1), torch.ones(1)

    matrices = images.affine_matrices(zero, zero + 1 / 4, zero + 2 / 8, one, zero, height=4, width=8)

    expected = images.shift_together(x, [(1, 2)], "zeros")
    torch.testing.assert_close(images.warp(x, matrices, None, "zeros"), expected, atol=1e-6, rtol=0)


def test_displacement_stays_within_reach():
    """Bicubic curves overshoot their nodes; the promise is in pixels."""
    nodes = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)).mul_(2).sub_(1).sign()

    field = images.smooth_displacement(nodes, height=9, width=17, reach_px=1.5)

    pixels = field * torch.tensor([17 / 2, 9 / 2])
    assert field.shape == (4, 9, 17, 2)
    assert pixels.abs().max() <= 1.5 + 1e-6


def test_light_and_noise_stay_in_range():
    """What follows expects values in [0, 1]."""
    x = numbered(2, 3, 4, 4)

    bright = images.relight(x, torch.tensor([0.9, -0.9]), torch.tensor([1.9, 0.1]))
    noisy = images.add_noise(x, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * 5)

    for changed in (bright, noisy):
        assert changed.min() >= 0
        assert changed.max() <= 1


@pytest.mark.parametrize(("size", "rows"), [(1, [2]), (2, [1, 2]), (3, [1, 2, 3])])
def test_cutout_paints_a_square_of_its_size(size, rows):
    """Even sizes included."""
    x = numbered(1, 1, 5, 5)

    painted = images.cut_out(x, torch.tensor([2]), torch.tensor([2]), size)

    changed = (painted != x)[0, 0] | (x == x.mean())[0, 0]
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1] = True
    assert torch.equal(changed, expected)
