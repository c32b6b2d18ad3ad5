"""A small transformer encoder: embeddings with learned positions, attention blocks, mean and largest value over the tokens."""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from headrace.params import Section


class Options(Section):
    """`train.network_options` of network transformer."""

    width: int = Field(default=64, ge=1)
    """Length of the vector of a token."""
    blocks: int = Field(default=1, ge=0)
    """Attention blocks; 0 leaves a bag of words."""
    heads: int = Field(default=4, ge=1)
    expansion: int = Field(default=2, ge=1)
    """Width of the dense layer in a block, as a multiple."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations set to zero while training."""
    token_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of tokens that the network does not see while training."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")
        return self


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Encoder from numbers of tokens, int64 (B, L) with 0 for none, to class scores.

    Args:
        options: of the network.
        input_shape: tokens of a text, size of the vocabulary.
        num_classes: number of scores.
    """
    if len(input_shape) != 2:
        raise ValueError(f"it reads texts: tokens and vocabulary, not records of shape {tuple(input_shape)}")
    max_tokens, vocabulary = input_shape
    return Encoder(options, max_tokens, vocabulary, num_classes)


class Encoder(nn.Module):
    """See `build`."""

    def __init__(self, options: Options, max_tokens: int, vocabulary: int, num_classes: int) -> None:
        super().__init__()
        self.token_dropout = options.token_dropout
        self.tokens = nn.Embedding(vocabulary, options.width, padding_idx=0)
        self.positions = nn.Parameter(torch.zeros(max_tokens, options.width))
        nn.init.normal_(self.tokens.weight, std=0.1)
        nn.init.normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.blocks))
        self.norm = nn.LayerNorm(2 * options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(2 * options.width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        if self.training:
            x = x[:, : max(1, int((x != 0).sum(dim=1).max()))]  # no batch is longer than its longest text
        seen = x != 0  # (B, L)
        if self.training and self.token_dropout:
            kept = torch.rand(x.shape, device=x.device) >= self.token_dropout
            kept[:, 0] = True  # a text without any token has no mean
            seen = seen & kept
        h = self.dropout(self.tokens(x) + self.positions[: x.shape[1]])  # (B, L, width)
        for block in self.blocks:
            h = block(h, seen)
        weight = seen.unsqueeze(2).to(h.dtype)
        mean = (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        largest = h.masked_fill(~seen.unsqueeze(2), -1e4).amax(dim=1)
        scores: Tensor = self.head(self.dropout(self.norm(torch.cat([mean, largest], dim=1))))
        return scores


class Block(nn.Module):
    """Attention and a dense layer, each after a norm and added to its input."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.width
        self.heads, self.rate = options.heads, options.dropout
        self.attention_norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, options.expansion * width), nn.GELU(), nn.Linear(options.expansion * width, width)
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, h: Tensor, seen: Tensor) -> Tensor:
        """(B, L, width) and which tokens may be attended to, bool (B, L)."""
        batch, length, width = h.shape
        parts = self.project_in(self.attention_norm(h)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, L, width / heads)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
        h = h + self.dropout(self.project_out(mixed.transpose(1, 2).reshape(batch, length, width)))
        out: Tensor = h + self.dropout(self.dense(self.dense_norm(h)))
        return out
