"""Word embeddings and an LSTM in both directions; the largest and the mean output over the tokens decide."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section


class Options(Section):
    """`train.network_options` of network lstm."""

    width: int = Field(default=64, ge=1)
    """Length of the vector of a token."""
    hidden: int = Field(default=64, ge=1)
    """Outputs of the LSTM in each direction."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of activations set to zero while training."""


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Network from numbers of tokens, int64 (B, L) with 0 for none, to class scores.

    Args:
        options: of the network.
        input_shape: tokens of a text, size of the vocabulary.
        num_classes: number of scores.
    """
    if len(input_shape) != 2:
        raise ValueError(f"it reads texts: tokens and vocabulary, not records of shape {tuple(input_shape)}")
    return Reader(options, input_shape[1], num_classes)


class Reader(nn.Module):
    """See `build`."""

    def __init__(self, options: Options, vocabulary: int, num_classes: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, options.width, padding_idx=0)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.dropout = nn.Dropout(options.dropout)
        self.lstm = nn.LSTM(options.width, options.hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(4 * options.hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        if self.training:
            x = x[:, : max(1, int((x != 0).sum(dim=1).max()))]  # no batch is longer than its longest text
        seen = (x != 0).unsqueeze(2)  # (B, L, 1)
        h, _ = self.lstm(self.dropout(self.tokens(x)))
        weight = seen.to(h.dtype)
        mean = (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        largest = h.masked_fill(~seen, -1e4).amax(dim=1)
        scores: Tensor = self.head(self.dropout(torch.cat([mean, largest], dim=1)))
        return scores
