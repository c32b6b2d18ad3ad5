"""The running average of weights."""

import torch
from torch import nn

from headrace.training.ema import Average


def test_average_follows_the_weights():
    """Against the formula, step by step: young averages forget faster."""
    net = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(net.weight)
    average = Average(net, 0.9)
    expected = torch.zeros(1, 2)
    for step in range(1, 40):
        nn.init.constant_(net.weight, float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step

    torch.testing.assert_close(average.network.weight.detach(), expected)


def test_buffers_are_averaged_and_counters_copied():
    """A batch norm with averaged weights but the last variance would be neither network."""
    net = nn.BatchNorm1d(2)
    average = Average(net, 0.5)
    net(torch.randn(8, 2))
    before = average.network.running_var.clone()
    average.update(1)

    assert not torch.equal(average.network.running_var, before)
    assert int(average.network.num_batches_tracked) == 1


def test_the_trained_network_is_not_touched():
    """The average is a copy."""
    net = nn.Linear(2, 2)
    average = Average(net, 0.5)
    average.network.weight.fill_(7)

    assert not (net.weight == 7).any()
