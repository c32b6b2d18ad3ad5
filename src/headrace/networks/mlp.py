"""A dense network: flatten, then linear layers with ReLU and dropout between them. Without hidden layers: logistic regression."""

import math
from collections.abc import Sequence

from pydantic import Field
from torch import nn

from headrace.params import Section


class Options(Section):
    """`train.network_options` of network mlp."""

    hidden: list[int] = Field(default=[128])
    """Width of each hidden layer; an empty list gives a linear model."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of hidden activations set to zero while training."""
    batch_norm: bool = False
    """Normalise each hidden layer over the batch."""


def build(options: Options, *, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Dense network from inputs of any shape to class scores.

    Args:
        options: widths and dropout.
        input_shape: shape of one record, without the batch.
        num_classes: number of scores.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(input_shape)
    for hidden in options.hidden:
        layers.append(nn.Linear(width, hidden, bias=not options.batch_norm))
        if options.batch_norm:
            layers.append(nn.BatchNorm1d(hidden))
        layers.append(nn.ReLU())
        if options.dropout:
            layers.append(nn.Dropout(options.dropout))
        width = hidden
    layers.append(nn.Linear(width, num_classes))
    return nn.Sequential(*layers)
