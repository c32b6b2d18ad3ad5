"""Losses by name: from scores and labels to one number."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from headrace.errors import ParamsError
from headrace.params import did_you_mean
from headrace.plugins import resolve

Loss = Callable[..., Tensor]
"""`(scores, labels, *, label_smoothing) -> scalar`, the mean over the batch."""


def cross_entropy(scores: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of (..., K) scores and (...) labels, in float32; smoothing spreads that share over all classes.

    A label of -100 counts for nothing.
    """
    return functional.cross_entropy(scores.float().flatten(0, -2), labels.flatten(), label_smoothing=label_smoothing)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy}


def find_loss(name: str) -> Loss:
    """The loss a params value names: one of ours or `module:function`.

    Raises:
        ParamsError: no such loss.
    """
    if name in LOSSES:
        return LOSSES[name]
    if ":" not in name:
        raise ParamsError(f"train.loss is '{name}', which does not exist.{did_you_mean(name, LOSSES)}")
    loss: Loss = resolve("training", name, "", where="train.loss")
    return loss
