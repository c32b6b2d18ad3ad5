"""A trained network as a program: numbers of a row in, one number out, in the unit of the target."""

from typing import Any

import torch
from torch import Tensor, nn

from headrace.errors import DataError
from headrace.params import Section
from headrace.training.encoded import measure
from headrace.training.row_encoding import EncodingOptions

__all__ = [
    "OUTPUT",
    "EncodingOptions",
    "PredictionOptions",
    "Regressor",
    "from_description",
    "measure",
    "measure_targets",
    "prepare",
    "scale_targets",
]

OUTPUT = "predicted"
"""What the program gives, by name, for the signature of a package."""


class PredictionOptions(Section):
    """`train.prediction`: nothing to choose."""


def prepare(rows: Tensor) -> Tensor:
    """Encoded rows stay as they are, float32 (B, F)."""
    return rows


class Scale(Section):
    """Of the target, on the training split."""

    mean: float
    std: float


def measure_targets(targets: Tensor) -> Scale:
    """Mean and deviation of the training targets (N,).

    Raises:
        DataError: all are the same, or one is not finite.
    """
    values = targets.double()
    if not bool(torch.isfinite(values).all()):
        raise DataError("a target of the training split is missing or not finite. `validate` quarantines such records; rerun it.")
    mean, std = float(values.mean()), float(values.std(correction=0))
    if std <= 1e-12 * abs(mean):
        raise DataError(
            f"all {len(values)} training records have the target {mean:g}: there is nothing to learn. Collect records of other values."
        )
    return Scale(mean=mean, std=std)


def scale_targets(targets: Tensor, scale: dict[str, float]) -> Tensor:
    """Targets as deviations from the mean of training, float32 (N,): what the network is trained on."""
    return ((targets.double() - scale["mean"]) / scale["std"]).float()


class Regressor(nn.Module):
    """Encoded rows (B, F) to float32 numbers (B, 1) in the unit of the target.

    Args:
        network: encoded rows to scaled targets (B, 1).
        mean: added to what the network gives, after it was multiplied by `std`.
        std: of the training targets.
    """

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def normalise(self, x: Tensor) -> Tensor:
        """Encoded rows stay as they are."""
        return x

    def forward(self, rows: Tensor) -> Tensor:
        """Predictions (B, 1)."""
        found: Tensor = self.network(prepare(rows)).float() * self.std + self.mean
        return found


def from_description(network: nn.Module, description: dict[str, Any]) -> Regressor:
    """The program that model.json describes: the target's scale around the network."""
    scale = description["target"]
    return Regressor(network, float(scale["mean"]), float(scale["std"]))
