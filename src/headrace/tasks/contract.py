"""What a task is: a module of this room with these names. Nothing else in the pipeline knows a task by name.

A task module imports numpy and pyarrow but no torch, no scikit-learn and no plotting: every stage reads it, and a stage must not
pay for, or be rerun by, what it does not use.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from headrace.formats.record import RawRecord
from headrace.params import Section


class Task(Protocol):
    """Record schema, record to arrays, and the names of what trains and judges it."""

    RecordOptions: type[Section]
    """Typed options of one record (`collect.record` in params.yaml)."""

    LOSS: str
    """Default loss: a name in `training/losses.py`."""

    PROGRAM: str
    """Module of `training/` with the program around a network, such as 'image_classifier': what happens before and after it."""

    EVALUATION: str
    """Module of `evaluation/` that scores predictions of this task, such as 'classification'."""

    def settle(self, options: Any, raws: Sequence[RawRecord]) -> Any:
        """Options with what they leave open, such as the size of a picture, taken from the first records."""

    def record_schema(self, options: Any) -> pa.Schema:
        """Arrow schema of a record at rest: id, payload, label, split, source, origin, fault and measured columns."""

    def record_info(self, options: Any) -> dict[str, Any]:
        """What dataset.json says of one record: {"payload": column, "shape": [...], "dtype": ...}."""

    def make_rows(self, raws: Sequence[RawRecord], classes: Mapping[str, int], options: Any) -> pa.Table:
        """Decode and measure records; one that cannot be decoded stays as a row with `fault` set and an empty payload."""

    def inputs(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload column as one array, without a copy where possible; images: uint8 (N, H, W, C)."""

    def features(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload as float32 (N, F) for classical baselines."""

    def near_duplicate_keys(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """uint64 (N,): records that may be near duplicates share a key; candidates only, confirmed on the content."""

    def are_near_duplicates(self, left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether paired inputs (as `inputs` gives them) are the same up to `tolerance`: bool (N,)."""

    def thumbnail(self, item: np.ndarray, path: Path) -> None:
        """Write one input as a small PNG, for contact sheets and galleries."""
