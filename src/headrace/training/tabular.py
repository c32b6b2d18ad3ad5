"""A trained network as a program: numbers of a row in, class probabilities out. Rows become numbers before it, by the task's `encode`."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section


class EncodingOptions(Section):
    """`train.encoding`: how rows become numbers; all of it is measured on the training split."""

    min_count: int = Field(default=5, ge=1)
    """Training rows below which a category is treated as one that was never seen."""
    max_categories: int = Field(default=1000, ge=1)
    """Categories of one column at most, the most frequent ones."""
    fill: Literal["median", "mean", "zero"] = "median"
    """What stands for a missing number, date or ordered category; where training has missing ones, the model is told as well."""


class PredictionOptions(Section):
    """`train.prediction`: nothing to choose."""


class Preprocessing(Section):
    """Numbers measured on encoded rows: none, the encoding has scaled them."""


def measure(rows: Tensor) -> Preprocessing:  # noqa: ARG001  # the contract's argument
    """Nothing has to be measured."""
    return Preprocessing()


def prepare(rows: Tensor) -> Tensor:
    """Encoded rows stay as they are, float32 (B, F)."""
    return rows


class RowClassifier(nn.Module):
    """float32 encoded rows (B, F) to float32 probabilities (B, K).

    Args:
        network: float32 (B, F) to scores (B, K).
        temperature: number the scores are divided by before the softmax.
    """

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def normalise(self, x: Tensor) -> Tensor:
        """Encoded rows stay as they are."""
        return x

    def scores(self, x: Tensor) -> Tensor:
        """Scores before the softmax, of float32 (B, F)."""
        found: Tensor = self.network(x).float()
        return found

    def forward(self, rows: Tensor) -> Tensor:
        """Probabilities of each class, rows sum to 1."""
        return torch.softmax(self.scores(prepare(rows)) / self.temperature, dim=1)


def from_description(network: nn.Module, description: dict[str, Any]) -> RowClassifier:
    """The program that model.json describes: where measured, `temperature` around the network."""
    return RowClassifier(network, float(description.get("temperature", 1.0)))
