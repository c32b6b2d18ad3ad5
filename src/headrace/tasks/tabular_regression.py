"""One row of a table, one number: rows are those of `tabular`, and what stands for a class is the column of kind `target`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.tasks._rows import (
    are_near_duplicates,
    encode,
    features,
    fit_encoding,
    inputs,
    near_duplicate_keys,
    near_duplicate_profile,
    positions,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "LOSS",
    "PROGRAM",
    "are_near_duplicates",
    "encode",
    "features",
    "fit_encoding",
    "inputs",
    "near_duplicate_keys",
    "near_duplicate_profile",
    "positions",
    "score",
    "targets",
]

LOSS = "mse"
PROGRAM = "tabular_regression"

TARGET = "target"
"""The column at rest, whatever the table calls it."""


def targets(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001  # the contract's argument
    """What a model is to give for each row, float64 (N,), in the unit of the table."""
    return np.asarray(table.column(TARGET).to_numpy(), np.float64)


def score(outputs: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:  # noqa: ARG001  # the contract's arguments
    """How far each prediction is from the truth, negative, in the unit of the target, float64 (N,): 0 is the best."""
    distances: np.ndarray = np.abs(np.asarray(outputs, np.float64)[:, 0] - targets)
    return -distances
