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
    token_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of tokens that the network does not see while training."""


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
    """See `build`.

    The second LSTM reads each text turned round about its own end, so that neither sees padding before a token: scores do not depend on
    how far a batch is filled up. Packed sequences would do the same, and cannot be exported.
    """

    def __init__(self, options: Options, vocabulary: int, num_classes: int) -> None:
        super().__init__()
        self.token_dropout = options.token_dropout
        self.tokens = nn.Embedding(vocabulary, options.width, padding_idx=0)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.dropout = nn.Dropout(options.dropout)
        self.onward = nn.LSTM(options.width, options.hidden, batch_first=True)
        self.back = nn.LSTM(options.width, options.hidden, batch_first=True)
        self.head = nn.Linear(4 * options.hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        if self.training:
            x = x[:, : max(1, int((x != 0).sum(dim=1).max()))]  # no batch is longer than its longest text
        seen = (x != 0).unsqueeze(2)  # (B, L, 1)
        embedded = self.tokens(x)
        if self.training and self.token_dropout:
            embedded = embedded * (torch.rand(x.shape, device=x.device) >= self.token_dropout).unsqueeze(2)
        embedded = self.dropout(embedded)
        turned = _turned(x)
        onward, _ = self.onward(embedded)
        back, _ = self.back(_take(embedded, turned))
        h = torch.cat([onward, _take(back, turned)], dim=2)  # (B, L, 2 hidden)
        weight = seen.to(h.dtype)
        mean = (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        largest = h.masked_fill(~seen, -1e4).amax(dim=1)
        scores: Tensor = self.head(self.dropout(torch.cat([mean, largest], dim=1)))
        return scores


def _turned(x: Tensor) -> Tensor:
    """Places (B, L) that turn each text round about its own end and leave padding where it is; done twice, all is as before."""
    places = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    lengths = (x != 0).sum(dim=1, keepdim=True)
    return torch.where(places < lengths, lengths - 1 - places, places)


def _take(h: Tensor, places: Tensor) -> Tensor:
    """(B, L, W) in the order of the places (B, L)."""
    return h.gather(1, places.unsqueeze(2).expand(-1, -1, h.shape[2]))
