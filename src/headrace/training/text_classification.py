"""A trained network as a program: numbers of tokens in, class probabilities out. Texts become numbers before it, by the task's `encode`."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section


class EncodingOptions(Section):
    """`train.encoding`: how texts become numbers; the vocabulary is that of the training split."""

    max_tokens: int = Field(default=256, ge=1, le=8192)
    """Words and signs of one text that are read, from its beginning; the report says what is cut off."""
    vocabulary: int = Field(default=20_000, ge=1, le=1_000_000)
    """Different words at most, the most frequent ones; all others are one unknown word."""
    min_count: int = Field(default=2, ge=1)
    """Occurrences in the training split below which a word is unknown."""
    lowercase: bool = True


class PredictionOptions(Section):
    """`train.prediction`: nothing to choose, one view of a text is all there is."""


class Preprocessing(Section):
    """Numbers measured on encoded texts: none."""


def measure(tokens: Tensor) -> Preprocessing:  # noqa: ARG001  # the contract's argument
    """Nothing has to be measured."""
    return Preprocessing()


def prepare(tokens: Tensor) -> Tensor:
    """int32 (B, L) to int64 (B, L), which embeddings take."""
    return tokens.to(torch.int64)


class TextClassifier(nn.Module):
    """int32 numbers of tokens (B, L), 0 where there is none, to float32 probabilities (B, K).

    Args:
        network: int64 (B, L) to scores (B, K).
        temperature: number the scores are divided by before the softmax.
    """

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def normalise(self, x: Tensor) -> Tensor:
        """Numbers of tokens stay as they are."""
        return x

    def scores(self, x: Tensor) -> Tensor:
        """Scores before the softmax, of int64 (B, L)."""
        found: Tensor = self.network(x).float()
        return found

    def forward(self, tokens: Tensor) -> Tensor:
        """Probabilities of each class, rows sum to 1."""
        return torch.softmax(self.scores(prepare(tokens)) / self.temperature, dim=1)


def from_description(network: nn.Module, description: dict[str, Any]) -> TextClassifier:
    """The program that model.json describes: where measured, `temperature` around the network."""
    return TextClassifier(network, float(description.get("temperature", 1.0)))
