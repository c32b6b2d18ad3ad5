"""Number formats are taken from params and never chosen silently."""

import pytest
import torch
from torch import nn

from headrace.errors import ParamsError
from headrace.training.precision import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_forward_runs_in_the_format(name, dtype):
    """What params say is what runs."""
    with Precision(name, CPU).autocast():
        assert nn.Linear(4, 4)(torch.ones(2, 4)).dtype == dtype


@pytest.mark.badinput
def test_fp16_on_a_cpu_is_refused_by_name():
    """Falling back in silence would give other results than params say."""
    with pytest.raises(ParamsError, match=r"train\.precision is fp16, which needs a GPU"):
        Precision("fp16", CPU)


def test_gradients_are_clipped_to_the_norm():
    """The norm that is returned is the one before clipping."""
    net = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(net.weight)
    precision = Precision("fp32", CPU)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    precision.backward(net(torch.tensor([[3.0, 4.0, 0.0]])).sum())
    norm = precision.step(optimizer, net, max_grad_norm=1.0, measure=False)

    assert norm.item() == pytest.approx(5.0)
    torch.testing.assert_close(net.weight.detach(), torch.tensor([[-0.6, -0.8, 0.0]]))
    assert net.weight.grad is None


def test_norm_is_measured_only_when_asked():
    """It costs a pass over the weights."""
    net = nn.Linear(3, 1)
    precision = Precision("fp32", CPU)
    precision.backward(net(torch.ones(1, 3)).sum())

    assert precision.step(torch.optim.SGD(net.parameters(), lr=1.0), net, max_grad_norm=None, measure=False) is None
