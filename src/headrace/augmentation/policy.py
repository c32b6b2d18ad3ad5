"""Which random transforms an image goes through, and how far each may go.

One policy serves twice: on the device inside the training loop (`train.augmentation`) and for the extra samples that `augment`
writes. The order is fixed: affine and elastic (one resampling), crop, flip, light, noise, cutout, own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from headrace.augmentation import images
from headrace.errors import ParamsError
from headrace.params import Section
from headrace.plugins import resolve

Policy = Callable[[Tensor, Tensor, int, Generator], Tensor]
"""(images (B, C, H, W) float32 in [0, 1], record index (B,) int64, epoch, generator) -> images of the same shape."""

ALTERNATING_MIX = 0x9E3779B97F4A7C15 - (1 << 64)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a transform may depend on beside the images: which records, which epoch, which random numbers."""

    record_index: Tensor
    epoch: int
    generator: Generator

    def uniform(self, *shape: int) -> Tensor:
        """float32 in [-1, 1) on the generator's device."""
        return torch.rand(shape, generator=self.generator, device=self.generator.device).mul_(2).sub_(1)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 in [low, high) on the generator's device."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.generator.device)


Step = Callable[[Tensor, Draw], Tensor]


class CropConfig(Section):
    """Cut the image out of a larger one: a shift by whole pixels."""

    pad: int = Field(ge=1)
    """Pixels added on each side; the shift is at most this."""
    mode: images.Fill = "zeros"
    """What is added: black, or the image mirrored at its edge."""
    offset_per: Literal["batch", "half", "sample"] = "half"
    """What shares one offset. Shares of a batch cost a copy, single samples a gather (4 to 10 times as slow on a CPU)."""


class AffineConfig(Section):
    """Rotation, shift, zoom and shear, drawn uniformly for every sample."""

    degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation, either way."""
    translate: float = Field(default=0.0, ge=0, lt=1)
    """Largest shift, as a share of height and width."""
    scale: float = Field(default=0.0, ge=0, lt=1)
    """Zoom lies between 1 - scale and 1 + scale."""
    shear: float = Field(default=0.0, ge=0, lt=90)
    """Largest horizontal shear, in degrees."""
    mode: images.Fill = "zeros"
    """What moves in at the edges."""


class ElasticConfig(Section):
    """A smooth random displacement, for handwriting and other soft shapes."""

    reach_px: float = Field(gt=0)
    """Largest displacement in pixels, per axis."""
    cell_px: int = Field(default=4, ge=1)
    """Distance of the random nodes in pixels: larger is smoother."""


class PolicyConfig(Section):
    """Transforms by name; what is not named is not applied, so the empty policy changes nothing."""

    random_crop: CropConfig | None = None
    flip: Literal["none", "random", "alternating"] = "none"
    """Mirror left to right: a coin for every sample and epoch, or every record in turn, one epoch mirrored and one not."""
    affine: AffineConfig | None = None
    elastic: ElasticConfig | None = None
    brightness: float = Field(default=0.0, ge=0, le=1)
    """Largest amount added to or taken from all pixels, where white is 1."""
    contrast: float = Field(default=0.0, ge=0, lt=1)
    """Distances to the image's mean are multiplied by 1 - contrast to 1 + contrast."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of Gaussian noise, where white is 1."""
    cutout: int = Field(default=0, ge=0)
    """Side in pixels of a square that is painted over; 0 for none."""
    own: str | None = None
    """A transform of your own, `module:function`, called last as function(images, draw): float32 (B, C, H, W) in [0, 1] in and out,
    random numbers from `draw.uniform` and `draw.integers`."""

    @model_validator(mode="after")
    def _affine_does_something(self) -> Self:
        if self.affine is not None and not (
            self.affine.degrees or self.affine.translate or self.affine.scale or self.affine.shear
        ):
            raise ValueError("affine has no degrees, translate, scale or shear above 0; give one or leave affine out")
        return self

    def is_empty(self) -> bool:
        """Whether the policy leaves every image as it is."""
        return self == PolicyConfig()


def build_policy(config: PolicyConfig, input_shape: Sequence[int], *, where: str = "policy") -> Policy:
    """The policy as one function, for images of one shape.

    Random numbers are drawn on the generator's device and moved to the images': give a CPU generator for the same pictures on
    every device. With `offset_per` batch or half, a generator on an accelerator costs a synchronisation in each batch.

    Args:
        config: the transforms.
        input_shape: (C, H, W).
        where: the params key of the policy, for messages.

    Raises:
        ParamsError: a transform is larger than the image.
    """
    _, height, width = input_shape
    _refuse_what_does_not_fit(config, height, width, where)
    steps = [
        step
        for step in (
            _warp_step(config, height, width),
            _crop_step(config.random_crop),
            _flip_step(config.flip),
            _light_step(config),
            _noise_step(config.noise),
            _cutout_step(config.cutout),
            _own_step(config.own),
        )
        if step is not None
    ]

    def apply(x: Tensor, record_index: Tensor, epoch: int, generator: Generator) -> Tensor:
        if len(x) == 0:
            return x  # torch refuses to resample nothing
        draw = Draw(record_index, epoch, generator)
        for step in steps:
            x = step(x, draw)
        return x

    return apply


def _refuse_what_does_not_fit(config: PolicyConfig, height: int, width: int, where: str) -> None:
    side = min(height, width)
    sizes = {
        "random_crop.pad": (config.random_crop.pad if config.random_crop else 0, side - 1),
        "elastic.reach_px": (config.elastic.reach_px if config.elastic else 0, side - 1),
        "cutout": (config.cutout, side),
    }
    for name, (value, largest) in sizes.items():
        if value > largest:
            raise ParamsError(
                f"{where}.{name} is {value}, but the images are {height} x {width} pixels (height x width). "
                f"Give at most {largest}" + (", or leave it out." if largest > 0 else ": leave it out.")
            )


def _warp_step(config: PolicyConfig, height: int, width: int) -> Step | None:
    affine, elastic = config.affine, config.elastic
    if affine is None and elastic is None:
        return None
    ranges = affine or AffineConfig()
    limits = torch.tensor([ranges.degrees, ranges.translate, ranges.translate, ranges.scale, ranges.shear])
    nodes = (-(-height // elastic.cell_px) + 1, -(-width // elastic.cell_px) + 1) if elastic else (0, 0)

    def step(x: Tensor, draw: Draw) -> Tensor:
        degrees, down, right, zoom, shear = (draw.uniform(len(x), 5) * limits.to(draw.generator.device)).to(x.device).unbind(1)
        matrices = images.affine_matrices(degrees, down, right, 1 + zoom, shear, height=height, width=width)
        field = None
        if elastic is not None:
            random = draw.uniform(len(x), 2, *nodes).to(x.device)
            field = images.smooth_displacement(random, height=height, width=width, reach_px=elastic.reach_px)
        return images.warp(x, matrices, field, ranges.mode)

    return step


def _crop_step(config: CropConfig | None) -> Step | None:
    if config is None:
        return None
    pad, mode = config.pad, config.mode

    def step(x: Tensor, draw: Draw) -> Tensor:
        if config.offset_per == "sample":
            down, right = draw.integers(-pad, pad + 1, 2, len(x)).to(x.device)
            return images.shift_each(x, down, right, mode)
        parts = 2 if config.offset_per == "half" else 1
        return images.shift_together(x, draw.integers(-pad, pad + 1, parts, 2).tolist(), mode)

    return step


def _flip_step(kind: str) -> Step | None:
    if kind == "none":
        return None

    def step(x: Tensor, draw: Draw) -> Tensor:
        if kind == "alternating":
            return images.flip_where(x, (_coin(draw.record_index) ^ (draw.epoch % 2 == 1)).to(x.device))
        return images.flip_where(x, (draw.uniform(len(x)) < 0).to(x.device))

    return step


def _coin(record_index: Tensor) -> Tensor:
    """Heads or tails by record, bool (B,), the same in every epoch (the top bit of a multiplicative hash)."""
    return (record_index + 1) * ALTERNATING_MIX < 0


def _light_step(config: PolicyConfig) -> Step | None:
    if not config.brightness and not config.contrast:
        return None
    limits = torch.tensor([config.brightness, config.contrast])

    def step(x: Tensor, draw: Draw) -> Tensor:
        brightness, contrast = (draw.uniform(len(x), 2) * limits.to(draw.generator.device)).to(x.device).unbind(1)
        return images.relight(x, brightness, 1 + contrast)

    return step


def _noise_step(deviation: float) -> Step | None:
    if not deviation:
        return None

    def step(x: Tensor, draw: Draw) -> Tensor:
        noise = torch.randn(x.shape, generator=draw.generator, device=draw.generator.device).to(x.device)
        return images.add_noise(x, noise * deviation)

    return step


def _own_step(function: str | None) -> Step | None:
    if function is None:
        return None
    if ":" not in function:
        raise ParamsError(f"augmentation: own is '{function}'; a transform of your own is `module:function`.")
    transform: Step = resolve("augmentation", function, None, where="augment.policy.own")

    def step(x: Tensor, draw: Draw) -> Tensor:
        changed = transform(x, draw)
        if changed.shape != x.shape or changed.dtype != x.dtype:
            raise ParamsError(
                f"{function} made {changed.dtype} {tuple(changed.shape)} of {x.dtype} {tuple(x.shape)}: shape and type must stay."
            )
        return changed

    return step


def _cutout_step(size: int) -> Step | None:
    if not size:
        return None

    def step(x: Tensor, draw: Draw) -> Tensor:
        centre_y = draw.integers(0, x.shape[-2], len(x)).to(x.device)
        centre_x = draw.integers(0, x.shape[-1], len(x)).to(x.device)
        return images.cut_out(x, centre_y, centre_x, size)

    return step
