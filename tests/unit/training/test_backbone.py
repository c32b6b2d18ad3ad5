"""A backbone is held still, then freed at a rate of its own; an interruption in between cannot be seen."""

import pytest
import torch
from tests.unit.training.test_loop import KilledError, StopAt, checkpoint, config, network, train
from torch import nn

from headrace.training.backbone import Backbone
from headrace.training.loop import Fitted
from headrace.training.optim import make_optimizer
from headrace.training.options import OptimizerConfig

NAMES = frozenset(name for name in network().state_dict() if name.startswith(("0.", "1.")))
PER_EPOCH = 6


def frozen(epochs: int, **options: object) -> Fitted:
    backbone = Backbone.of(network(), NAMES, frozen_epochs=epochs, lr_factor=0.5)
    return train(config(ema_decay=0, **(options.pop("settings", {}))), backbone=backbone, **options)  # type: ignore[call-overload]


def test_a_frozen_backbone_stays_as_it_came_with_the_statistics_of_its_norms():
    before, after = network().state_dict(), frozen(4).network.state_dict()

    assert all(torch.equal(before[name], after[name]) for name in NAMES)
    assert not torch.equal(before["5.weight"], after["5.weight"])


def test_a_freed_backbone_learns():
    before, after = network().state_dict(), frozen(2).network.state_dict()

    assert not torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["1.running_mean"], after["1.running_mean"])


def test_weights_that_are_never_trained_are_not_freed():
    """A whitened stem stays what it is."""
    net = network()
    net[0].weight.requires_grad = False
    backbone = Backbone.of(net, NAMES, frozen_epochs=1, lr_factor=1.0)
    backbone.prepare(net.train(), 0)
    assert not net[0].bias.requires_grad
    backbone.prepare(net.train(), 1)

    assert net[0].bias.requires_grad
    assert not net[0].weight.requires_grad


def test_its_rate_is_a_multiple_of_the_others():
    backbone = Backbone.of(network(), NAMES, frozen_epochs=0, lr_factor=0.1)
    groups = make_optimizer(OptimizerConfig(bias_lr_factor=2.0), network(), backbone).param_groups

    assert [group["lr_factor"] for group in groups] == [1.0, 2.0, 0.1, 0.2]
    assert [len(group["params"]) for group in groups] == [1, 1, 1, 3]


@pytest.mark.parametrize("step", [3, PER_EPOCH + 1, 2 * PER_EPOCH + 2, 3 * PER_EPOCH + 5])
@pytest.mark.parametrize("settings", [{}, {"optimizer": {"name": "sgd", "peak_lr": 0.1}}, {"keep": "best"}])
def test_resumed_training_equals_uninterrupted_one(tmp_path, weights_equal, step, settings):
    """Before, at and after the epoch in which it is freed."""
    whole = frozen(2, settings=settings)
    with pytest.raises(KilledError):
        frozen(2, settings=settings, checkpoint=checkpoint(tmp_path), save_every_s=0, tracker=StopAt(step))
    resumed = frozen(2, settings=settings, checkpoint=checkpoint(tmp_path), save_every_s=0)

    assert weights_equal(whole.network, resumed.network)
    assert whole.history == resumed.history


def test_a_nested_norm_is_found():
    """Names of modules and of tensors are joined by dots; the outermost has no name."""
    norm = nn.BatchNorm2d(2)
    Backbone.of(norm, frozenset(norm.state_dict()), frozen_epochs=1, lr_factor=1.0).prepare(norm.train(), 0)

    assert not norm.training
