"""Networks by name."""

import math

import pytest
import torch
from torch import nn

from headrace.errors import ParamsError
from headrace.training.network import build_network


def own_network(options, *, input_shape, num_classes):
    """A user's network, without typed options."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_classes, bias=options["bias"]))


def test_own_network_by_module_and_function():
    """Nobody edits our tree to bring a network."""
    name = f"{__name__}:own_network"
    network, initialise = build_network(name, {"bias": False}, input_shape=(4, 4, 1), num_classes=2)

    assert network(torch.zeros(3, 1, 4, 4)).shape == (3, 2)
    assert initialise is None


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mpl", {}, r"train\.network is 'mpl'.*Did you mean 'mlp'"),
        ("mlp", {"hiden": [3]}, r"unknown key 'train\.network_options\.hiden'.*'hidden'"),
        ("small_cnn", {"width": 0}, r"train\.network_options\.width"),
        ("no.such:thing", {}, "cannot be imported"),
    ],
)
def test_wrong_names_and_options_are_refused(name, options, message):
    """The message names the key and the nearest right word."""
    with pytest.raises(ParamsError, match=message):
        build_network(name, options, input_shape=(8, 8, 1), num_classes=2)


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["small_cnn", "whitened_cnn"])
def test_images_that_are_too_small_are_refused(name):
    """An image of one pixel has no patches and nothing to pool."""
    with pytest.raises(ParamsError, match=r"does not fit the data: .*pixels a side, got 1 x 1"):
        build_network(name, {}, input_shape=(1, 1, 1), num_classes=2)
