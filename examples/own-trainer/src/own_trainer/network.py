"""The same function as a torch network, so that `package` can make a program of it and a server needs no scikit-learn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class KernelMachine(nn.Module):
    """Images (B, C, H, W) in [0, 1] to scores (B, K): exp(-gamma * squared distance to each component), then a linear layer."""

    def __init__(self, components: int, features: int, classes: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.components = nn.Parameter(torch.zeros(components, features))
        self.linear = nn.Linear(components, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class; their softmax is scikit-learn's predict_proba."""
        x = images.permute(0, 2, 3, 1).flatten(1)
        squared = (x * x).sum(1, keepdim=True) - 2 * x @ self.components.T + (self.components * self.components).sum(1)
        scores: Tensor = self.linear(torch.exp(-self.gamma * squared))
        return scores


def build(options: Mapping[str, Any], *, input_shape: Sequence[int], num_classes: int) -> KernelMachine:
    """What model.json names: an empty network of the right shape, which Headrace fills with the saved weights."""
    height, width, channels = input_shape
    return KernelMachine(options["components"], height * width * channels, num_classes, options["gamma"])


def convert(fitted: "Pipeline", network: KernelMachine) -> KernelMachine:
    """Copy what scikit-learn found. Its two matrices are multiplied in float64 first: one of them holds large numbers."""
    kernel, logistic = fitted[0], fitted[-1]
    weights = {
        "components": kernel.components_,
        "linear.weight": logistic.coef_.astype("float64") @ kernel.normalization_.astype("float64"),
        "linear.bias": logistic.intercept_,
    }
    network.load_state_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()})
    return network
