"""Rows of a table: an embedding for every column of categories beside the numbers, then linear layers with ReLU and dropout."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from headrace.params import Section


class Options(Section):
    """`train.network_options` of network embedding_mlp."""

    hidden: list[int] = Field(default=[64, 32])
    """Width of each hidden layer."""
    embedding: int = Field(default=8, ge=1)
    """Longest vector of a category; a column of few categories has shorter ones."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations set to zero while training."""


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Network from encoded rows, float32 (B, numbers + columns of categories), to class scores.

    Args:
        options: of the network.
        input_shape: how many numbers, then how many categories each further column has.
        num_classes: number of scores.
    """
    if not input_shape:
        raise ValueError("it reads rows: how many numbers, then the categories of each column")
    return RowNetwork(options, input_shape[0], input_shape[1:], num_classes)


class RowNetwork(nn.Module):
    """See `build`."""

    def __init__(self, options: Options, numbers: int, categories: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.numbers = numbers
        sizes = [min(options.embedding, (count + 1) // 2) for count in categories]
        tables = [nn.Embedding(count, size) for count, size in zip(categories, sizes, strict=True)]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.embeddings = nn.ModuleList(tables)
        layers: list[nn.Module] = []
        width = numbers + sum(sizes)
        for hidden in options.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(options.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K)."""
        codes = x[:, self.numbers :].to(torch.int64)
        vectors = [embedding(codes[:, column]) for column, embedding in enumerate(self.embeddings)]
        scores: Tensor = self.layers(torch.cat([x[:, : self.numbers], *vectors], dim=1))
        return scores
