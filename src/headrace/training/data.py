"""Training data: samples in memory or mapped from disk, and the shuffled, augmented batches of any step."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, ParamsError
from headrace.fingerprint import value_sha256
from headrace.tasks.contract import targets_of
from headrace.training.encoding import KEY, to_numbers

if TYPE_CHECKING:
    from headrace.tasks.contract import PackedTask, Task

EVALUATION_BATCH = 1000

CHUNK_SAMPLES = 1024
"""Without augmentation small batches are gathered this many samples at a time: 32 take as many calls as 1024."""

Transform = Callable[[Tensor], Tensor]
Augment = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]
"""`(x (B, C, H, W) in [0, 1], record indices (B,), epoch, generator) -> x of the same shape`."""


@dataclass(frozen=True)
class Samples:
    """Inputs as the task gives them, with labels and ids, in the order of the data set."""

    inputs: Tensor
    """(N, ...), for images uint8 (N, H, W, C), for texts int32 (N, tokens)."""
    labels: Tensor
    """int64 (N,), or (N, ...) where a sample has several targets, -100 for none; of a measured task float64 (N,)."""
    ids: list[str]
    """Of the records; empty where samples are not one record each."""

    def __len__(self) -> int:
        return len(self.labels)


def load_samples(
    folders: Sequence[Path],
    task: "Task",
    *,
    description: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
    budget_bytes: int | None = None,
) -> Samples:
    """Read data set folders, one after the other.

    Args:
        folders: data sets of one schema.
        task: turns payload columns into arrays.
        description: of the program: how records that are no numbers are encoded.
        scratch: file to map when the inputs exceed the budget.
        budget_bytes: memory the inputs may take; above it they are streamed once into the file `scratch` and mapped, so memory
            stays bounded and batches stay the same. None: no limit.

    Raises:
        DataError: no rows, or the folders hold other shapes.
    """
    infos = [read_info(folder) for folder in folders]
    rows = sum(info.rows for info in infos)
    if rows == 0:
        raise DataError(f"{', '.join(map(str, folders))}: no records. Run the stages before again, or look at split.fractions.")
    if hasattr(task, "pack"):
        return _packed(folders, cast("PackedTask", task), (description or {})[KEY])
    inputs = np.empty(0, np.uint8)
    labels: list[np.ndarray] = []
    ids: list[str] = []
    for folder, info in zip(folders, infos, strict=True):
        for table in iter_tables(folder):
            block = to_numbers(task, task.inputs(table, info.record), description or {})
            if not ids:
                inputs = _room_for(rows, block, scratch=scratch, budget_bytes=budget_bytes)
            if block.shape[1:] != inputs.shape[1:]:
                raise DataError(f"{folder} holds records of shape {block.shape[1:]}, the others {inputs.shape[1:]}.")
            inputs[len(ids) : len(ids) + len(block)] = block
            labels.append(targets_of(task, table, info.record))
            ids += table.column("id").to_pylist()
    return Samples(torch.from_numpy(inputs), torch.from_numpy(np.concatenate(labels)), ids)


def _packed(folders: Sequence[Path], task: "PackedTask", encoding: Mapping[str, Any]) -> Samples:
    records = [task.inputs(table, read_info(folder).record) for folder in folders for table in iter_tables(folder)]
    inputs, labels = task.pack(np.concatenate(records), encoding)
    return Samples(torch.from_numpy(inputs), torch.from_numpy(labels), [])


def _room_for(rows: int, block: np.ndarray, *, scratch: Path | None, budget_bytes: int | None) -> np.ndarray:
    shape = (rows, *block.shape[1:])
    if scratch is None or budget_bytes is None or math.prod(shape) * block.itemsize <= budget_bytes:
        return np.empty(shape, block.dtype)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    return np.memmap(scratch, block.dtype, mode="w+", shape=shape)


def check_labels(samples: Samples, classes: Sequence[str], *, distinct: int = 2) -> None:
    """Refuse labels that a classifier cannot learn from, or that cannot be measured.

    Args:
        samples: with labels.
        classes: class names by label; without any there is nothing to refuse.
        distinct: how many classes must be present.

    Raises:
        DataError: a label without class, a record without label, or fewer than two classes present.
    """
    if not classes:
        return
    labels = samples.labels
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        first = int(wrong.nonzero()[0])
        raise DataError(
            f"{int(wrong.sum())} records have a label outside 0..{len(classes) - 1}, such as {int(labels[first])} of record "
            f"{samples.ids[first]}. Label them, or let `validate` quarantine them."
        )
    present = torch.unique(labels)
    if len(present) < distinct:
        raise DataError(
            f"all {len(samples)} training records are of class '{classes[int(present[0])]}': there is nothing to tell apart. "
            "Collect records of other classes."
        )


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A seed of its own for one purpose: equal inputs give equal seeds, different ones unrelated seeds."""
    return int(value_sha256([seed, *purpose])[:15], 16)


class Batches:
    """Shuffled, augmented batches. Any step can be asked for, in any order, with the same result: nothing to save or restore.

    Every epoch has its own order; the samples left over by whole batches are dropped, other ones each epoch.

    Args:
        inputs: (N, ...) on the device, in memory or mapped from disk.
        labels: int64 (N,) or (N, ...).
        batch_size: samples of one optimizer step.
        seed: decides order and augmentation.
        device: where batches go.
        prepare: raw inputs to floats in [0, 1].
        normalise: floats in [0, 1] to what the network sees.
        augment: random changes between the two; None: none.
        memory_format: layout of the batches; None: as they come.
        cache_bytes: without augmentation, all prepared inputs are kept when they take no more than this.
        lengths: int64 (N,); samples of like length, within some batches drawn as ever, then come in one batch. None: as drawn.

    Raises:
        ParamsError: fewer samples than one batch.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        prepare: Transform,
        normalise: Transform,
        augment: Augment | None = None,
        memory_format: torch.memory_format | None = None,
        cache_bytes: int = 0,
        lengths: Tensor | None = None,
    ) -> None:
        if len(labels) < batch_size:
            what = "records" if labels.ndim == 1 else "blocks"
            raise ParamsError(
                f"train.batch_size is {batch_size}, but there are only {len(labels)} training {what}. "
                f"Set it to {len(labels)} or less."
            )
        self.per_epoch = len(labels) // batch_size
        self.batch_size = batch_size
        self._inputs, self._labels = inputs, labels.to(device)
        self._seed, self._device = seed, device
        self._prepare, self._normalise, self._augment = prepare, normalise, augment
        self._memory_format = memory_format
        self._chunk_batches = max(1, CHUNK_SAMPLES // batch_size) if augment is None or lengths is not None else 1
        self._lengths = lengths
        self._held: tuple[int, int] | None = None
        self._held_x: tuple[Tensor, ...] = ()
        self._held_y: tuple[Tensor, ...] = ()
        self._order_epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)
        self._cached = None
        if augment is None and inputs[:1].numel() * 4 * len(inputs) <= cache_bytes:
            self._cached = torch.cat([normalise(prepare(part.to(device))) for part in torch.split(inputs, 8192)])

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and labels of one optimizer step, step in [0, ...)."""
        epoch, batch = divmod(step, self.per_epoch)
        chunk, place = divmod(batch, self._chunk_batches)
        if self._held != (epoch, chunk):
            self._load(epoch, chunk)
        return self._held_x[place], self._held_y[place]

    def _bucketed(self, order: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """The order with each chunk sorted by length, and its batches in an order of their own."""
        kept = order[: self.per_epoch * self.batch_size]
        parts = []
        for chunk in torch.split(kept, self._chunk_batches * self.batch_size):
            batches = chunk[lengths[chunk].argsort(stable=True)].view(-1, self.batch_size)
            parts.append(batches[torch.randperm(len(batches), generator=generator)].view(-1))
        return torch.cat(parts)

    def _load(self, epoch: int, chunk: int) -> None:
        if epoch != self._order_epoch:
            generator = torch.Generator().manual_seed(stream_seed(self._seed, "order", epoch))
            self._order, self._order_epoch = torch.randperm(len(self._labels), generator=generator), epoch
            if self._lengths is not None:
                self._order = self._bucketed(self._order, self._lengths, generator)
        size = self._chunk_batches * self.batch_size
        indices = self._order[chunk * size : min((chunk + 1) * size, self.per_epoch * self.batch_size)]
        here = indices.to(self._device)
        if self._cached is not None:
            x = self._cached.index_select(0, here)
        else:
            x = self._prepare(self._inputs.index_select(0, indices.to(self._inputs.device)).to(self._device))
            if self._augment is not None:
                # On the CPU wherever x is: every device then sees the same pictures.
                generator = torch.Generator().manual_seed(stream_seed(self._seed, "augment", epoch, chunk))
                x = self._augment(x, indices, epoch, generator)
            x = self._normalise(x)
        if self._memory_format is not None and x.ndim == 4:
            x = x.contiguous(memory_format=self._memory_format)
        self._held, self._held_x = (epoch, chunk), torch.split(x, self.batch_size)
        self._held_y = torch.split(self._labels.index_select(0, here), self.batch_size)


class InOrder:
    """A data set in its own order and without augmentation, for measuring; prepared anew at each pass, so memory stays small.

    Args:
        samples: what to measure on.
        device: where the parts go.
        prepare: raw inputs to floats in [0, 1].
        normalise: floats in [0, 1] to what the network sees.
        memory_format: layout of the parts; None: as they come.
        part: samples at a time.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        device: torch.device,
        prepare: Transform,
        normalise: Transform,
        memory_format: torch.memory_format | None = None,
        part: int = EVALUATION_BATCH,
    ) -> None:
        self._samples, self._device, self._part = samples, device, part
        self._prepare, self._normalise, self._memory_format = prepare, normalise, memory_format

    def __len__(self) -> int:
        return len(self._samples)

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels, some at a time."""
        samples = self._samples
        pieces = zip(torch.split(samples.inputs, self._part), torch.split(samples.labels, self._part), strict=True)
        for inputs, labels in pieces:
            x = self._normalise(self._prepare(inputs.to(self._device)))
            if self._memory_format is not None and x.ndim == 4:
                x = x.contiguous(memory_format=self._memory_format)
            yield x, labels.to(self._device)
