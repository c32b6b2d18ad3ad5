"""A GPT: tokens that attend to those before them, rotary positions, RMS norms, one table for tokens in and scores out."""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from headrace.params import Section

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of the tokens seen so far, each (B, heads, L, width / heads), for every block."""


class Options(Section):
    """`train.network_options` of network gpt."""

    width: int = Field(default=128, ge=2)
    """Length of the vector of a token."""
    blocks: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    expansion: int = Field(default=4, ge=1)
    """Width of the dense layer in a block, as a multiple."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of activations set to zero while training; a few passes over a text need none."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads or self.width // self.heads % 2:
            raise ValueError(
                f"heads {self.heads} does not divide width {self.width} into even parts, which rotary positions need"
            )
        return self


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:  # noqa: ARG001  # the contract's arguments
    """Decoder from numbers of tokens, int64 (B, L), to scores of the token after each, (B, L, V).

    Args:
        options: of the network.
        input_shape: tokens it sees at once, size of the vocabulary.
        num_classes: without meaning here; the vocabulary is what it tells apart.
    """
    if len(input_shape) != 2:
        raise ValueError(f"it reads running text: context and vocabulary, not records of shape {tuple(input_shape)}")
    context, vocabulary = input_shape
    return Gpt(options, context, vocabulary)


class Gpt(nn.Module):
    """See `build`."""

    cos: Tensor
    sin: Tensor

    def __init__(self, options: Options, context: int, vocabulary: int) -> None:
        super().__init__()
        self.context = context
        self.tokens = nn.Embedding(vocabulary, options.width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.blocks))
        self.norm = nn.RMSNorm(options.width)
        angles = torch.outer(torch.arange(context), 10_000 ** -torch.linspace(0, 1, options.width // options.heads // 2))
        self.register_buffer("cos", angles.cos(), persistent=False)  # (context, width / heads / 2)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, L, V), L at most the context."""
        scores, _ = self.extend(x, None)
        return scores

    def extend(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Scores of tokens (B, L) that follow those of the cache, and the cache with them; after a cache L is 1."""
        start = cache[0][0].shape[2] if cache else 0
        turn = self.cos[start : start + x.shape[1]], self.sin[start : start + x.shape[1]]
        h = self.dropout(functional.rms_norm(self.tokens(x), (self.tokens.embedding_dim,)))  # (B, L, width)
        grown: Cache = []
        for number, block in enumerate(self.blocks):
            h, kept = block(h, turn, cache[number] if cache else None)
            grown.append(kept)
        return functional.linear(self.norm(h), self.tokens.weight), grown


class Block(nn.Module):
    """Attention to the tokens before and a dense layer, each after a norm and added to its input."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width, wide = options.width, options.expansion * options.width
        self.heads = options.heads
        self.attention_norm, self.dense_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.widen, self.narrow = nn.Linear(width, wide, bias=False), nn.Linear(wide, width, bias=False)
        self.dropout = nn.Dropout(options.dropout)
        # A block begins as doing nothing: the first steps then train the tokens, and large rates stay stable.
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.narrow.weight)

    def forward(
        self, h: Tensor, turn: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, L, width) with cosine and sine of the positions; also the keys and values of all tokens so far."""
        batch, length, width = h.shape
        parts = self.project_in(self.attention_norm(h)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, L, width / heads)
        query, key = _turned(query, *turn), _turned(key, *turn)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        h = h + self.dropout(self.project_out(mixed.transpose(1, 2).reshape(batch, length, width)))
        dense = self.narrow(functional.relu(self.widen(self.dense_norm(h))).square())
        return h + self.dropout(dense), (key, value)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Unit-scale queries or keys (B, heads, L, D), pairs of numbers turned by angles (L, D / 2) (Su et al. 2021)."""
    left, right = functional.rms_norm(x, (x.shape[-1],)).chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1).to(x.dtype)
