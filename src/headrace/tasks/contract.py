"""What a task is: a module of this room with these names. Nothing else in the pipeline knows a task by name.

A task says how records at rest are read; how they get there is the module of the same name in headrace/intake. It imports numpy and
pyarrow but no decoder, no torch, no scikit-learn and no plotting: every stage from `split` on reads it, and must not pay for, or be
rerun by, what it does not use.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa


class Task(Protocol):
    """Rows to arrays, what makes two records the same, and the names of what trains on them."""

    LOSS: str
    """Default loss: a name in `training/losses.py`."""

    PROGRAM: str
    """Module of `training/` with the program around a network, such as 'image_classification': what happens before and after it."""

    def inputs(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload column as one array, without a copy where possible; images: uint8 (N, H, W, C); texts: object (N,)."""

    def features(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """Payload for classical baselines: float32 (N, F), or what the models of headrace/baselines take, such as texts."""

    def near_duplicate_keys(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """uint64 (N,), or (N, B) for several keys: records that may be near duplicates share one; candidates only, confirmed later."""

    def near_duplicate_profile(self, inputs: np.ndarray) -> np.ndarray:
        """float32 (N, P) of inputs, P small: absolute differences of two profiles sum up to no more than the two records differ by.

        Where many records share a key, it spares most comparisons of whole records.
        """

    def are_near_duplicates(self, left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether paired inputs (as `inputs` gives them) are the same up to `tolerance`: bool (N,)."""


class EncodedTask(Task, Protocol):
    """A task whose records are no numbers. Its module is copied into registered models, so it imports numpy and nothing of ours."""

    SLICES: tuple[str, ...]
    """Measured columns that go with the predictions, such as lengths. Any task may have them; `slices` in dataset.json's record wins."""

    def fit_encoding(self, parts: Iterable[np.ndarray], *, record: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """What the inputs of the training split teach, JSON values only; options as the program's `EncodingOptions` types them.

        `record` is what dataset.json says of one record, such as the types of its columns.
        `shape` is that of one encoded record, as a network is built for it; `measured` has numbers for the report of `train`.
        """

    def encode(self, inputs: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
        """Inputs as numbers, (N, ...); any input has an answer."""


class ExplainedTask(EncodedTask, Protocol):
    """A task whose records, strings, have pieces that can be left out to see what they do."""

    def pieces(self, record: str) -> Iterable[tuple[int, int]]:
        """Where they begin and end, such as words."""


class PretrainedTask(EncodedTask, Protocol):
    """A task of texts that a pretrained network, with the tokenizer it came with, can start from."""

    def fit_tokenizer(self, parts: Iterable[np.ndarray], *, tokenizer: str, max_tokens: int) -> dict[str, Any]:
        """As `fit_encoding`, with nothing left to learn: `tokenizer` is a tokenizer.json. A ValueError says what does not fit."""


class ScoredTask(EncodedTask, Protocol):
    """A task without classes: how good what a model makes of a record is, is one number."""

    def score(self, outputs: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """From what the program gives (N, ...) to one number for each record, float64 (N,); higher is better.

        `targets` are those of a measured task; where records have none, there is nothing in them.
        """


class PackedTask(ScoredTask, Protocol):
    """What is trained on is not one record each."""

    BATCH_RECORDS: int
    """Records that go through a model at once; any task may have it."""

    def pack(self, inputs: np.ndarray, encoding: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """All inputs of a split as what is trained on: numbers (M, ...) and int64 targets (M, ...), -100 where there is none."""


class MeasuredTask(ScoredTask, Protocol):
    """What a model is to give for a record is a number."""

    def targets(self, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
        """That number, float64 (N,), in the unit in which the program answers."""


def targets_of(task: Task, table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
    """What a model is to give for each record (N,): the numbers of a measured task, else labels, -1 for none."""
    targets = getattr(task, "targets", None)
    found: np.ndarray = table.column("label").to_numpy() if targets is None else targets(table, record)
    return found
