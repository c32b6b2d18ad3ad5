"""A trained network as a program: numbers of tokens in, class probabilities out. Texts become numbers before it, by the task's `encode`."""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from headrace.params import Section
from headrace.training.encoded import EncodedClassifier, check_vocabulary, measure

__all__ = ["EncodingOptions", "PredictionOptions", "from_description", "measure", "prepare"]


class EncodingOptions(Section):
    """`train.encoding`: how texts become numbers; the vocabulary is that of the training split."""

    tokenizer: Literal["words", "bpe"] = "words"
    """words and single signs, or bpe: pairs of bytes that occur together often; both learnt by the library `tokenizers`."""
    max_tokens: int = Field(default=256, ge=1, le=8192)
    """Tokens of one text that are read, from its beginning; the report says what is cut off."""
    vocabulary: int = Field(default=20_000, ge=1, le=1_000_000)
    """Different tokens at most, the most frequent ones; all other words are one unknown word. bpe needs 257, as every byte is one."""
    min_count: int = Field(default=2, ge=1)
    """Occurrences in the training split below which a word is unknown, or a pair no token."""
    lowercase: bool = True

    @model_validator(mode="after")
    def _has_room_for_bytes(self) -> Self:
        check_vocabulary(self.tokenizer, self.vocabulary)
        return self


class PredictionOptions(Section):
    """`train.prediction`: nothing to choose, one view of a text is all there is."""


def prepare(tokens: Tensor) -> Tensor:
    """int32 (B, L) to int64 (B, L), which embeddings take."""
    return tokens.to(torch.int64)


def from_description(network: nn.Module, description: dict[str, Any]) -> EncodedClassifier:
    """The program that model.json describes: where measured, `temperature` around the network."""
    return EncodedClassifier(network, prepare, float(description.get("temperature", 1.0)))
