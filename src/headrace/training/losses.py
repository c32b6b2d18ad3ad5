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


def mse(scores: Tensor, targets: Tensor, *, label_smoothing: float) -> Tensor:
    """Mean squared error of (B, 1) scores and (B,) targets, in float32."""
    _refuse_smoothing(label_smoothing)
    return functional.mse_loss(scores.float().squeeze(-1), targets)


def huber(scores: Tensor, targets: Tensor, *, label_smoothing: float) -> Tensor:
    """As `mse` up to one standard deviation of the target, linear beyond it: a wild target pulls no harder than a far one."""
    _refuse_smoothing(label_smoothing)
    return functional.huber_loss(scores.float().squeeze(-1), targets)


def _refuse_smoothing(label_smoothing: float) -> None:
    if label_smoothing:
        raise ParamsError("train.label_smoothing is about classes, and these records have a number each. Set it to 0.")


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": mse, "huber": huber}


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
