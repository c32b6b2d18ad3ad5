"""A trained network as a program: images as they are stored in, class probabilities out.

Normalisation and averaging over views are part of it, so training, evaluation, the package and the server cannot disagree.
"""

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from headrace.params import Section


class PredictionOptions(Section):
    """`train.prediction`: how one image becomes probabilities."""

    flip: bool = False
    """Average the scores with those of the mirrored image (twice the work)."""
    shift: int = Field(default=0, ge=0)
    """Average with the image moved by so many pixels along each diagonal (five times the work); 0: only as it is."""


class Preprocessing(Section):
    """Numbers measured on the training images."""

    mean: list[float]
    """Mean of each channel, pixels in [0, 1]."""
    std: list[float]
    """Standard deviation of each channel."""

    @model_validator(mode="after")
    def _one_per_channel(self) -> Self:
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise ValueError("mean and std need one number per channel, std above 0")
        return self


def measure(images: Tensor) -> Preprocessing:
    """Channel means and deviations of uint8 images (N, H, W, C); a constant channel gets the deviation 1.

    Sums of integers, so the result does not depend on the order or the machine.
    """
    count = images.shape[0] * images.shape[1] * images.shape[2]
    channels = images.shape[3]
    total = torch.zeros(channels, dtype=torch.int64)
    squares = torch.zeros(channels, dtype=torch.int64)
    for part in torch.split(images, 4096):
        # A histogram per channel is exact and needs no wide copy of the pixels.
        for channel in range(channels):
            counts = torch.bincount(part[..., channel].reshape(-1).int(), minlength=256)
            levels = torch.arange(256)
            total[channel] += (counts * levels).sum()
            squares[channel] += (counts * levels * levels).sum()
    mean = [t / count for t in total.tolist()]
    variance = [s / count - m * m for s, m in zip(squares.tolist(), mean, strict=True)]
    return Preprocessing(
        mean=[round(m / 255, 6) for m in mean], std=[round(max(v, 0.0) ** 0.5 / 255, 6) or 1.0 for v in variance]
    )


def prepare(images: Tensor) -> Tensor:
    """uint8 (B, H, W, C) to float32 (B, C, H, W) in [0, 1]; the memory stays channels-last."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255)


class ImageClassifier(nn.Module):
    """uint8 images (B, H, W, C) to float32 probabilities (B, K).

    Args:
        network: normalised (B, C, H, W) to scores (B, K).
        preprocessing: what the training images measured.
        prediction: views to average over.
        temperature: number the scores are divided by before the softmax.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, prediction: PredictionOptions, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.preprocessing, self.prediction = preprocessing, prediction
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1), persistent=False)

    def normalise(self, x: Tensor) -> Tensor:
        """Floats in [0, 1] to what the network was trained on."""
        return (x - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of each class, rows sum to 1."""
        x = self.normalise(images.permute(0, 3, 1, 2).to(torch.float32) / 255)
        return torch.softmax(self.scores(x) / self.temperature, dim=1)

    def scores(self, x: Tensor) -> Tensor:
        """Scores of normalised images, averaged over the views; the image as it is weighs as much as all moved ones together."""
        whole = self._both_sides(x)
        shift = self.prediction.shift
        if shift == 0:
            return whole
        height, width = x.shape[2], x.shape[3]
        padded = nn.functional.pad(x, (shift,) * 4, mode="replicate")
        corners = [(0, 0), (0, 2 * shift), (2 * shift, 0), (2 * shift, 2 * shift)]
        moved = [self._both_sides(padded[:, :, top : top + height, left : left + width]) for top, left in corners]
        return (whole + sum(moved) / len(moved)) / 2

    def _both_sides(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x).float()
        if not self.prediction.flip:
            return scores
        mirrored: Tensor = self.network(x.flip(3)).float()
        return (scores + mirrored) / 2


def from_description(network: nn.Module, description: dict[str, Any]) -> ImageClassifier:
    """The program that model.json describes: `preprocessing`, `prediction` and, where measured, `temperature` around the network."""
    return ImageClassifier(
        network,
        Preprocessing.model_validate(description["preprocessing"]),
        PredictionOptions.model_validate(description["prediction"]),
        float(description.get("temperature", 1.0)),
    )
