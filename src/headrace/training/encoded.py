"""What programs of encoded records share: nothing is measured on them, and scores divided by a temperature become probabilities."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from headrace.params import Section


class Preprocessing(Section):
    """Numbers measured on encoded records: none, their encoding has them."""


def measure(encoded: Tensor) -> Preprocessing:  # noqa: ARG001  # the contract's argument
    """Nothing has to be measured."""
    return Preprocessing()


def check_vocabulary(tokenizer: str, vocabulary: int) -> None:
    """Refuse one without room for every byte.

    Raises:
        ValueError: fewer than 257 tokens for bpe.
    """
    if tokenizer == "bpe" and vocabulary < 257:
        raise ValueError(f"vocabulary is {vocabulary}, and bpe needs 257 at least: every byte is a token")


class EncodedClassifier(nn.Module):
    """Encoded records (B, ...) to float32 probabilities (B, K).

    Args:
        network: what `prepare` gives to scores (B, K).
        prepare: the task's; encoded records to what the network takes.
        temperature: number the scores are divided by before the softmax.
    """

    def __init__(self, network: nn.Module, prepare: Callable[[Tensor], Tensor], temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.prepare, self.temperature = network, prepare, temperature

    def normalise(self, x: Tensor) -> Tensor:
        """Prepared records stay as they are."""
        return x

    def scores(self, x: Tensor) -> Tensor:
        """Scores before the softmax, of prepared records."""
        found: Tensor = self.network(x).float()
        return found

    def forward(self, encoded: Tensor) -> Tensor:
        """Probabilities of each class, rows sum to 1."""
        return torch.softmax(self.scores(self.prepare(encoded)) / self.temperature, dim=1)
