"""Every network of pictures: shapes in, shapes out, seeded, exportable."""

import pytest
import torch

from headrace.plugins import names, resolve

OTHERS = {"embedding_mlp", "gpt", "lstm", "pretrained", "transformer"}
"""They read rows or texts, or are built from a folder, and have tests of their own."""
PICTURE_NETWORKS = [name for name in names("networks") if name not in OTHERS]
SHAPES = [(9, 9, 1), (28, 28, 1), (32, 32, 3), (33, 47, 3)]


def build(name: str, shape: tuple[int, int, int], classes: int = 5) -> torch.nn.Module:
    module = resolve("networks", name, None, where="train.network")
    return module.build(module.Options(), input_shape=shape, num_classes=classes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PICTURE_NETWORKS)
def test_scores_for_every_image_size(name, shape):
    """A network is chosen by params, so it must take what the data set brings."""
    height, width, channels = shape

    assert build(name, shape).eval()(torch.rand(2, channels, height, width)).shape == (2, 5)


@pytest.mark.parametrize("name", PICTURE_NETWORKS)
def test_first_weights_follow_the_seed(name):
    """Equal seeds, equal networks."""
    torch.manual_seed(3)
    one = build(name, (28, 28, 1)).state_dict()
    torch.manual_seed(3)
    other = build(name, (28, 28, 1)).state_dict()

    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", PICTURE_NETWORKS)
def test_gradients_reach_every_trainable_weight(name):
    """A layer that is built but not used would be trained for nothing."""
    network = build(name, (32, 32, 3))
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()

    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
