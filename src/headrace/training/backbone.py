"""The part of a network that was taken over: held still for some epochs while the rest learns, then trained at a rate of its own."""

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Backbone:
    """Which weights, and how they are treated."""

    names: frozenset[str]
    """Of tensors in the network's state_dict."""
    frozen_epochs: int
    lr_factor: float
    """Of their learning rate."""
    trainable: frozenset[str]
    """Those among them that are trained at all: a network may have weights that never are."""

    @classmethod
    def of(cls, network: nn.Module, names: frozenset[str], *, frozen_epochs: int, lr_factor: float) -> "Backbone":
        """The backbone of a network that has not been frozen yet."""
        trainable = frozenset(name for name, weight in network.named_parameters() if name in names and weight.requires_grad)
        return cls(names, frozen_epochs, lr_factor, trainable)

    def prepare(self, network: nn.Module, epoch: int) -> None:
        """Freeze or free it for an epoch, from 0; the network is in training mode.

        While it is frozen its batch norms use and keep the statistics that they came with: those of a few new batches would change what the
        weights behind them were trained for.
        """
        frozen = epoch < self.frozen_epochs
        for name, weight in network.named_parameters():
            if name in self.trainable:
                weight.requires_grad = not frozen
        for name, module in network.named_modules():
            if frozen and isinstance(module, _BatchNorm) and f"{name}.running_mean".removeprefix(".") in self.names:
                module.eval()
