"""A shallow, wide network for small colour images: a fixed whitening stem, then three blocks of two convolutions.

The shape is that of Keller Jordan's CIFAR-10 speed runs (https://arxiv.org/abs/2404.00498): the first layer is the inverse square
root of the covariance of 2 x 2 patches, computed from training images and never trained; convolutions start as the identity.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section

PATCH = 2
"""Side of the patches that the stem whitens, pixels."""

WHITENING_EPSILON = 1e-3
"""Added to the eigenvalues of the patch covariance: directions with less variance are noise and are not blown up."""

MAX_WHITENING_IMAGES = 5000


class Options(Section):
    """`train.network_options` of network whitened_cnn."""

    widths: list[int] = Field(default=[32, 128, 128], min_length=1)
    """Channels of each block; every block halves the picture."""
    score_scale: float = Field(default=1 / 3, gt=0)
    """Factor on the scores; below 1 it keeps the first steps calm at a high learning rate."""
    norm_momentum: float = Field(default=0.4, gt=0, le=1)
    """Share of the newest batch in the running mean and variance; short trainings need a large one."""


class WhitenedCNN(nn.Module):
    """Stem, blocks, global maximum, linear scores: (B, C, H, W) to (B, num_classes)."""

    def __init__(self, options: Options, channels: int, num_classes: int) -> None:
        super().__init__()
        stem_channels = 2 * channels * PATCH**2
        self.stem = nn.Conv2d(channels, stem_channels, PATCH, bias=False)
        self.stem.weight.requires_grad = False
        self.blocks = nn.Sequential(*(_block(i, o, options) for i, o in pairwise([stem_channels, *options.widths])))
        self.scores = nn.Linear(options.widths[-1], num_classes, bias=False)
        self.score_scale = options.score_scale

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = self.blocks(nn.functional.gelu(self.stem(x)))
        scores: Tensor = self.scores(x.amax(dim=(2, 3))) * self.score_scale
        return scores


def _block(channels_in: int, channels_out: int, options: Options) -> nn.Sequential:
    return nn.Sequential(
        _convolution(channels_in, channels_out),
        nn.MaxPool2d(2),
        _norm(channels_out, options),
        nn.GELU(),
        _convolution(channels_out, channels_out),
        _norm(channels_out, options),
        nn.GELU(),
    )


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[: min(channels_in, channels_out)])
    return layer


def _norm(channels: int, options: Options) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=options.norm_momentum)
    layer.weight.requires_grad = False
    return layer


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Network with a random stem; `initialise` whitens it.

    Args:
        options: widths and scale.
        input_shape: height, width, channels of one image.
        num_classes: number of scores.
    """
    height, width, channels = input_shape
    smallest = PATCH + 2 ** len(options.widths) - 1
    if min(height, width) < smallest:
        raise ValueError(f"{len(options.widths)} blocks need images of at least {smallest} pixels a side, got {height} x {width}")
    return WhitenedCNN(options, channels, num_classes)


def initialise(model: WhitenedCNN, images: Tensor) -> None:
    """Set the stem to whiten patches of these images, in both signs.

    Args:
        model: what `build` returned.
        images: normalised training images (N, C, H, W), as the network will see them; the first 5,000 are used.
    """
    channels = images.shape[1]
    patches = images[:MAX_WHITENING_IMAGES].float().unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * PATCH**2)
    variances, directions = torch.linalg.eigh(flat.T @ flat / len(flat))
    whitening = (directions / torch.sqrt(variances + WHITENING_EPSILON)).T.reshape(-1, channels, PATCH, PATCH)
    with torch.no_grad():
        model.stem.weight.copy_(torch.cat([whitening, -whitening]))
