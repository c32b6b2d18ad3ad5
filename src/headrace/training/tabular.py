"""A trained network as a program: numbers of a row in, class probabilities out. Rows become numbers before it, by the task's `encode`."""

from typing import Any

from torch import Tensor, nn

from headrace.params import Section
from headrace.training.encoded import EncodedClassifier, measure
from headrace.training.row_encoding import EncodingOptions

__all__ = ["EncodingOptions", "PredictionOptions", "from_description", "measure", "prepare"]


class PredictionOptions(Section):
    """`train.prediction`: nothing to choose."""


def prepare(rows: Tensor) -> Tensor:
    """Encoded rows stay as they are, float32 (B, F)."""
    return rows


def from_description(network: nn.Module, description: dict[str, Any]) -> EncodedClassifier:
    """The program that model.json describes: where measured, `temperature` around the network."""
    return EncodedClassifier(network, prepare, float(description.get("temperature", 1.0)))
