"""Texts: copies with some words left out and some neighbours swapped; inside the training loop, tokens left out."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor

from headrace.augmentation.contract import MakeCopies
from headrace.augmentation.seeds import copy_seed
from headrace.errors import ParamsError
from headrace.params import Section
from headrace.plugins import resolve

UNKNOWN = 1
"""Number of a token that is not in the vocabulary (headrace/tasks/text_classification.py)."""

_PIECES = re.compile(r"\S+|\s+")


class Policy(Section):
    """`augment.policy` of texts."""

    drop_words: float = Field(default=0.0, ge=0, lt=1)
    """Chance of each word to be left out; one word always stays."""
    swap_words: float = Field(default=0.0, ge=0, lt=1)
    """Chance of each word to change places with the next one."""
    own: str | None = Field(default=None, pattern=r"^[\w.]+:[\w.]+$")
    """A change of your own, `module:function`, called first as function(text, draw) -> text, with a seeded random.Random."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.drop_words or self.swap_words or self.own):
            raise ValueError("every copy would repeat its original: raise drop_words or swap_words, or leave the policy out")
        return self


class BatchPolicy(Section):
    """`train.augmentation` of texts."""

    drop_tokens: float = Field(default=0.1, gt=0, lt=1)
    """Chance of each token to become the unknown one, drawn anew in every epoch."""


def change_text(text: str, policy: Policy, draw: random.Random) -> str:
    """The text with words swapped, then left out; what stands between words stays where it is, and a text without words as it is."""
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    place = 0
    while policy.swap_words and place + 1 < len(words):
        if draw.random() < policy.swap_words:
            left, right = words[place], words[place + 1]
            pieces[left], pieces[right] = pieces[right], pieces[left]
            place += 1  # a word moves by one place, not through the whole text
        place += 1
    if policy.drop_words and words:
        kept = [place for place in words if draw.random() >= policy.drop_words] or [draw.choice(words)]
        gone = set(words) - set(kept)
        # With a word goes the space behind it.
        pieces = [piece for place, piece in enumerate(pieces) if place not in gone and place - 1 not in gone]
    return "".join(pieces).strip()


def copier(policy: Policy, record: Mapping[str, Any], *, seed: int) -> MakeCopies:
    """Makes copies of texts, one at a time."""
    payload = str(record["payload"])
    own: Callable[[str, random.Random], str] | None = (
        resolve("augmentation", policy.own, None, where="augment.policy.own") if policy.own else None
    )

    def change(text: str, draw: random.Random) -> str:
        if own is not None:
            text = own(text, draw)
            if not isinstance(text, str):
                raise ParamsError(f"augment.policy.own: {policy.own} gave a {type(text).__name__}; a text is a str.")
        return change_text(text, policy, draw)

    def copies(table: pa.Table, todo: Sequence[tuple[int, int]]) -> dict[str, pa.Array]:
        ids, texts = table["id"].to_pylist(), table[payload].to_pylist()
        changed = [change(texts[row], random.Random(copy_seed(seed, ids[row], copy))) for row, copy in todo]
        return {payload: pa.array(changed, pa.string())}

    return copies


def in_batches(policy: BatchPolicy, record: Mapping[str, Any], *, where: str) -> Callable[..., Tensor]:  # noqa: ARG001  # the contract's arguments
    """Tokens left out of batches, int64 (B, L) with 0 for no token."""

    def change(x: Tensor, index: Tensor, epoch: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001  # the contract's arguments
        gone = (torch.rand(x.shape, generator=generator) < policy.drop_tokens).to(x.device)
        return x.masked_fill(gone & (x != 0), UNKNOWN)

    return change
