"""Build the network that params name."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.plugins import resolve

Initialise = Callable[[nn.Module, Tensor], None]
"""Data-dependent first weights: `(network, normalised training inputs)`."""


def num_outputs(classes: Sequence[str]) -> int:
    """Scores of a network: one for each class; where records have none, a single number."""
    return max(1, len(classes))


def build_network(
    name: str, options: Mapping[str, Any], *, input_shape: Sequence[int], num_classes: int
) -> tuple[nn.Module, Initialise | None]:
    """The network `name` with these options, its weights drawn from torch's generator, and its `initialise` if it has one.

    Args:
        name: module of headrace/networks, or `module:function` of the user's code.
        options: checked against the module's `Options`; a module without them gets the mapping.
        input_shape: shape of one record; images: height, width, channels; texts: tokens, size of the vocabulary.
        num_classes: number of scores, as `num_outputs` counts them.

    Raises:
        ParamsError: no such network, a wrong option, or a network that cannot take this shape.
    """
    build = resolve("networks", name, "build", where="train.network")
    module = sys.modules[build.__module__]
    checked: Any = dict(options)
    if hasattr(module, "Options"):
        checked = parse_section(options, "train.network_options", module.Options, where="params.yaml")
    try:
        network = build(checked, input_shape=tuple(input_shape), num_classes=num_classes)
    except ValueError as error:
        raise ParamsError(f"train.network '{name}' does not fit the data: {error}. Choose other options.") from None
    return network, getattr(module, "initialise", None)
