"""Optimizers and their parameter groups."""

import pytest
import torch
from torch import nn

from headrace.training.optim import OptimizerConfig, make_optimizer, set_lr


def network() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    net[0].weight.requires_grad = False
    return net


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_matrices_and_kernels_decay(name):
    """Decaying a norm's scale or a bias pulls the function, not its complexity, towards zero."""
    optimizer = make_optimizer(OptimizerConfig(name=name, weight_decay=0.1), network())
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}

    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        assert decays[id(parameter)] == (0.1 if parameter.ndim >= 2 else 0.0)


def test_fixed_parameters_are_left_out():
    """A whitening stem is not trained, and has no state in a checkpoint."""
    net = network()
    optimizer = make_optimizer(OptimizerConfig(), net)

    assert all(p is not net[0].weight for group in optimizer.param_groups for p in group["params"])


def test_biases_may_learn_faster():
    """set_lr applies each group's factor."""
    optimizer = make_optimizer(OptimizerConfig(bias_lr_factor=8), network())
    set_lr(optimizer, 0.5)

    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 4.0]


def test_fused_step_equals_the_plain_one():
    """The fused kernel is a matter of speed only."""
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    twin = nn.Linear(4, 3)
    twin.load_state_dict(net.state_dict())
    plain = torch.optim.AdamW(
        [{"params": [twin.weight], "weight_decay": 0.02}, {"params": [twin.bias], "weight_decay": 0.0}], lr=0.01, fused=False
    )
    fused = make_optimizer(OptimizerConfig(peak_lr=0.01, weight_decay=0.02), net)
    x = torch.randn(8, 4)
    for _ in range(5):
        for model, optimizer in ((net, fused), (twin, plain)):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

    torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_sgd_without_momentum_is_refused():
    """Nesterov's step is not defined without it."""
    with pytest.raises(ValueError, match="beta1 must be above 0"):
        OptimizerConfig(name="sgd", beta1=0)
