"""Image transforms as plain functions of tensors: each takes its random numbers as arguments and draws none itself.

Images are (B, C, H, W) float32 in [0, 1], on any device and in any memory format; results have the same shape and range.
The geometry is torch's own `affine_grid` and `grid_sample`: see docs/decisions/0005-augmentation.md for the measurement.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Fill = Literal["zeros", "reflect"]
"""What stands outside the image: black, or its mirror image."""


def shift_together(x: Tensor, offsets: Sequence[tuple[int, int]], fill: Fill) -> Tensor:
    """Shift equal consecutive parts of a batch, all images of a part alike.

    Slices instead of a gather: on two cores 4 to 10 times as fast as `shift_each`.

    Args:
        x: images.
        offsets: (down, right) in pixels, one pair for each part; smaller than the image.
        fill: what moves in at the edges.
    """
    moved = torch.zeros_like(x)
    parts = zip(moved.tensor_split(len(offsets)), x.tensor_split(len(offsets)), offsets, strict=True)
    for target, part, (down, right) in parts:
        if fill == "reflect":
            _slide(part, right, 3, into=target)
            if down:
                _slide(target.clone(), down, 2, into=target)
        else:
            to_y, from_y = _overlap(x.shape[2], down)
            to_x, from_x = _overlap(x.shape[3], right)
            target[:, :, to_y, to_x] = part[:, :, from_y, from_x]
    return moved


def _slide(x: Tensor, offset: int, dim: int, *, into: Tensor) -> None:
    """Write `x`, shifted along one dimension with its mirror image moving in; slices, no gather."""
    size, length = x.shape[dim], abs(offset)
    kept = size - length
    if offset >= 0:
        into.narrow(dim, length, kept).copy_(x.narrow(dim, 0, kept))
        into.narrow(dim, 0, length).copy_(x.narrow(dim, 1, length).flip(dim) if length else x.narrow(dim, 0, 0))
    else:
        into.narrow(dim, 0, kept).copy_(x.narrow(dim, length, kept))
        into.narrow(dim, kept, length).copy_(x.narrow(dim, kept - 1, length).flip(dim))


def _overlap(size: int, offset: int) -> tuple[slice, slice]:
    """Where a line of `size` pixels lands after a shift, and what it lands with."""
    return slice(max(offset, 0), size + min(offset, 0)), slice(max(-offset, 0), size - max(offset, 0))


def _mirror(size: int, offset: Tensor) -> Tensor:
    """Source index of each pixel of a line after a shift, mirrored at both ends; (B, size)."""
    index = torch.arange(size, device=offset.device) - offset[:, None]
    return (size - 1) - ((size - 1) - index.abs()).abs()


def shift_each(x: Tensor, down: Tensor, right: Tensor, fill: Fill) -> Tensor:
    """Shift every image by its own whole number of pixels.

    Args:
        x: images.
        down: (B,) int64, smaller than the height.
        right: (B,) int64, smaller than the width.
        fill: what moves in at the edges.
    """
    batch, _, height, width = x.shape
    rows, columns = _mirror(height, down), _mirror(width, right)
    first = torch.arange(batch, device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[first, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if fill == "zeros":
        came_y = _inside(height, down)[:, None, :, None]
        came_x = _inside(width, right)[:, None, None, :]
        moved = moved * (came_y & came_x)
    return moved if x.is_contiguous(memory_format=torch.channels_last) else moved.contiguous()


def _inside(size: int, offset: Tensor) -> Tensor:
    """Whether a pixel of the shifted line comes from inside the image, bool (B, size)."""
    index = torch.arange(size, device=offset.device) - offset[:, None]
    return (index >= 0) & (index < size)


def flip_where(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images left to right; chosen: bool (B,)."""
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)


def affine_matrices(
    degrees: Tensor, down: Tensor, right: Tensor, scale: Tensor, shear_degrees: Tensor, *, height: int, width: int
) -> Tensor:
    """Matrices (B, 2, 3) for `warp`: rotation about the centre, shift, zoom, horizontal shear; every argument (B,) float32.

    Angles are true on the picture also where it is not square. `down` and `right` are shares of height and width,
    `scale` 2 doubles the size of what is seen.
    """
    angle, lean = torch.deg2rad(degrees), torch.tan(torch.deg2rad(shear_degrees))
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    top = torch.stack([cosine, (cosine * lean - sine) * (height / width), -2 * right], dim=1)
    bottom = torch.stack([sine * (width / height), sine * lean + cosine, -2 * down], dim=1)
    return torch.stack([top, bottom], dim=1)


def smooth_displacement(nodes: Tensor, *, height: int, width: int, reach_px: float) -> Tensor:
    """A smooth field (B, H, W, 2) for `warp` out of random nodes (B, 2, h, w) in [-1, 1], at most `reach_px` long per axis.

    Bicubic between coarse nodes instead of a Gaussian blur of dense noise: the same look at a tenth of the time.
    """
    field = functional.interpolate(nodes, size=(height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
    unit = field.new_tensor([2 * reach_px / width, 2 * reach_px / height])
    return field.permute(0, 2, 3, 1) * unit


def warp(x: Tensor, matrices: Tensor, displacement: Tensor | None, fill: Fill) -> Tensor:
    """Resample once, bilinearly, through an affine map and an optional displacement field: one blur for both."""
    grid = functional.affine_grid(matrices, list(x.shape), align_corners=False)
    if displacement is not None:
        grid = grid + displacement
    padding = "zeros" if fill == "zeros" else "reflection"
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def relight(x: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Add `brightness` (B,) and stretch about each image's mean by `contrast` (B,), then clip to [0, 1]."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    gain = contrast.view(-1, 1, 1, 1)
    return (x * gain + (mean * (1 - gain) + brightness.view(-1, 1, 1, 1))).clamp(0, 1)


def add_noise(x: Tensor, noise: Tensor) -> Tensor:
    """Add noise of the images' shape and clip to [0, 1]."""
    return (x + noise).clamp(0, 1)


def cut_out(x: Tensor, centre_y: Tensor, centre_x: Tensor, size: int) -> Tensor:
    """Paint a square of `size` pixels with the image's own mean colour; centres: (B,) int64, the square may hang over an edge."""
    y = torch.arange(x.shape[-2], device=x.device) - centre_y[:, None] + size // 2
    right = torch.arange(x.shape[-1], device=x.device) - centre_x[:, None] + size // 2
    inside = ((y >= 0) & (y < size))[:, None, :, None] & ((right >= 0) & (right < size))[:, None, None, :]
    return torch.where(inside, x.mean(dim=(2, 3), keepdim=True), x)
