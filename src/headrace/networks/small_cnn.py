"""Three convolutions with batch norm and a global maximum: small images, seconds of CPU."""

from collections.abc import Sequence

from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section


class Options(Section):
    """`train.network_options` of network small_cnn."""

    width: int = Field(default=16, ge=1)
    """Channels of the first convolution; the second has twice, the third four times as many."""
    stem_kernel: int = Field(default=5, ge=1)
    """Kernel of the first convolution, pixels."""
    stem_stride: int = Field(default=2, ge=1)
    """Stride of the first convolution; 1 suits images of 8 x 8, 2 those of 28 x 28."""
    extra: int = Field(default=0, ge=0)
    """Further convolutions of the last width, for more accuracy at more cost."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the pooled features set to zero while training."""


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Convolutional network from (B, C, H, W) to class scores (B, num_classes).

    Args:
        options: widths, stem and dropout.
        input_shape: height, width, channels of one image.
        num_classes: number of scores.
    """
    height, width, channels = input_shape
    c = options.width
    if min(height, width) // options.stem_stride < 2:
        raise ValueError(f"small_cnn needs images of at least {2 * options.stem_stride} pixels a side, got {height} x {width}")
    return nn.Sequential(
        convolution(channels, c, options.stem_kernel, stride=options.stem_stride),
        convolution(c, 2 * c, 3),
        nn.MaxPool2d(2),
        convolution(2 * c, 4 * c, 3),
        *(convolution(4 * c, 4 * c, 3) for _ in range(options.extra)),
        GlobalMax(),
        nn.Dropout(options.dropout) if options.dropout else nn.Identity(),
        nn.Linear(4 * c, num_classes),
    )


def convolution(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class GlobalMax(nn.Module):
    """Largest value of each channel: (B, C, H, W) to (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """The maximum over the picture."""
        return x.amax(dim=(2, 3))
