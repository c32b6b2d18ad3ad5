"""A trained network as a program: numbers of a row in, class probabilities out. Rows become numbers before it, by the task's `encode`."""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section
from headrace.training.encoded import EncodedClassifier, measure

__all__ = ["EncodingOptions", "PredictionOptions", "from_description", "measure", "prepare"]


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


def prepare(rows: Tensor) -> Tensor:
    """Encoded rows stay as they are, float32 (B, F)."""
    return rows


def from_description(network: nn.Module, description: dict[str, Any]) -> EncodedClassifier:
    """The program that model.json describes: where measured, `temperature` around the network."""
    return EncodedClassifier(network, prepare, float(description.get("temperature", 1.0)))
