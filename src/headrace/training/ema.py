"""A running average of the weights: often better than the last weights, for a little time."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a network's parameters and buffers.

    Args:
        network: averaged as it is now.
        decay: weight of the past per step, in (0, 1); while young, the average forgets faster.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self._decay = decay
        live, kept = network.state_dict(), self.network.state_dict()
        floats = [name for name, value in kept.items() if value.is_floating_point()]
        self._live_floats: list[Tensor] = [live[name] for name in floats]
        self._kept_floats: list[Tensor] = [kept[name] for name in floats]
        self._counters = [(kept[name], live[name]) for name in kept if name not in set(floats)]

    def update(self, step: int) -> None:
        """Take in the weights after step number `step` (from 1)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._kept_floats, self._live_floats, 1 - decay)
            for kept, live in self._counters:
                kept.copy_(live)
