"""A trained network as a program: tokens of a text in, log-probability of each out. Texts become tokens before it, by `encode`."""

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from headrace.params import Section
from headrace.tasks.language_modeling import NONE, UNKNOWN
from headrace.training.encoded import check_vocabulary, measure
from headrace.training.generation import Sampling, generate, longest_overlap

__all__ = [
    "OUTPUT",
    "EncodingOptions",
    "LanguageModel",
    "PredictionOptions",
    "from_description",
    "measure",
    "prepare",
    "samples",
]

OUTPUT = "log_probabilities"
"""What the program gives, by name, for the signature of a package."""

CODE_POINTS = 0x110000
"""An unknown character is taken for any of them, all equally likely: then likelihoods of texts are comparable whatever is known."""


class EncodingOptions(Section):
    """`train.encoding`: how text becomes tokens; they are those of the training split."""

    tokenizer: Literal["characters", "bpe"] = "characters"
    """characters, or bpe: pairs of bytes that occur together often, learnt from the training split by the library `tokenizers`."""
    context: int = Field(default=128, ge=2, le=65536)
    """Tokens that the network sees at once, and of one block to train on."""
    vocabulary: int = Field(default=4096, ge=2, le=1_000_000)
    """Different tokens at most; bpe needs 257, as every byte is one."""
    min_count: int = Field(default=2, ge=1)
    """Occurrences in the training split below which a character, or a pair, is no token."""

    @model_validator(mode="after")
    def _has_room_for_bytes(self) -> Self:
        check_vocabulary(self.tokenizer, self.vocabulary)
        return self


class PredictionOptions(Section):
    """`train.prediction`: the samples that stand in the report; `headrace generate` has options of its own."""

    samples: int = Field(default=3, ge=0, le=100)
    """Texts written after training, each from another seed."""
    prompt: str = "\n"
    """What they begin with."""
    sampling: Sampling = Sampling(max_tokens=300)


def prepare(tokens: Tensor) -> Tensor:
    """int32 (B, L) to int64 (B, L), which embeddings take."""
    return tokens.to(torch.int64)


class LanguageModel(nn.Module):
    """int32 tokens (N, windows * context + 1), 0 where there is none, to float32 log-probabilities (N, windows * context).

    The text is read in windows that overlap by half: every token but those of the first half window has half a context before it.

    Args:
        network: int64 (B, context) to scores of the token after each, (B, context, V).
        context: tokens of a window.
        unknown_cost: taken off the log-probability of an unknown character.
    """

    def __init__(self, network: nn.Module, context: int, unknown_cost: float) -> None:
        super().__init__()
        self.network, self.context, self.unknown_cost = network, context, unknown_cost

    def normalise(self, x: Tensor) -> Tensor:
        """Numbers of tokens stay as they are."""
        return x

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probability in nats of every token after the first one, 0 where there is none."""
        step = self.context - self.context // 2
        starts = [*range(0, tokens.shape[1] - self.context, step)]
        starts = [*starts[:-1], tokens.shape[1] - 1 - self.context] if starts else [0]
        x = torch.stack([prepare(tokens[:, at : at + self.context]) for at in starts], dim=1).flatten(0, 1)
        y = torch.stack([prepare(tokens[:, at + 1 : at + 1 + self.context]) for at in starts], dim=1).flatten(0, 1)
        found = torch.log_softmax(self.network(x).float(), dim=2).gather(2, y.unsqueeze(2)).squeeze(2)
        found = (found - self.unknown_cost * (y == UNKNOWN)) * (y != NONE)
        windows = found.reshape(-1, len(starts), self.context)
        later = [windows[:, n, starts[n - 1] + self.context - starts[n] :] for n in range(1, len(starts))]
        return torch.cat([windows[:, 0], *later], dim=1)


def samples(network: nn.Module, description: dict[str, Any], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Texts that a trained network writes, each with the longest stretch that it copied from the training texts."""
    options, found = PredictionOptions.model_validate(description["prediction"]), []
    for number in range(options.samples):
        sampling = options.sampling.model_copy(update={"seed": options.sampling.seed + number})
        text = "".join(generate(network, description["encoding"], options.prompt, sampling))
        copied = longest_overlap(text, texts)
        found.append({"text": text, "seed": sampling.seed, "copied": copied, "copied_characters": len(copied)})
    return found


def from_description(network: nn.Module, description: dict[str, Any]) -> LanguageModel:
    """The program that model.json describes: windows of the encoding's context around the network."""
    return LanguageModel(network, int(description["encoding"]["shape"][0]), math.log(CODE_POINTS))
