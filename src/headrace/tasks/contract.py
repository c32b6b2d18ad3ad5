"""What a task is: a module of this room with these names. Nothing else in the pipeline knows a task by name.

A task says how records at rest are read; how they get there is the module of the same name in headrace/intake. It imports numpy and
pyarrow but no decoder, no torch, no scikit-learn and no plotting: every stage from `split` on reads it, and must not pay for, or be
rerun by, what it does not use.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa


class Task(Protocol):
    """Rows to arrays, what makes two records the same, and the names of what trains on them."""

    LOSS: str
    """Default loss: a name in `training/losses.py`."""

    PROGRAM: str
    """Module of `training/` with the program around a network, such as 'image_classifier': what happens before and after it."""

    def inputs(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload column as one array, without a copy where possible; images: uint8 (N, H, W, C)."""

    def features(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload as float32 (N, F) for classical baselines."""

    def near_duplicate_keys(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """uint64 (N,): records that may be near duplicates share a key; candidates only, confirmed on the content."""

    def near_duplicate_profile(self, inputs: np.ndarray) -> np.ndarray:
        """float32 (N, P) of inputs, P small: absolute differences of two profiles sum up to no more than the two records differ by.

        Where many records share a key, it spares most comparisons of whole records.
        """

    def are_near_duplicates(self, left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether paired inputs (as `inputs` gives them) are the same up to `tolerance`: bool (N,)."""
