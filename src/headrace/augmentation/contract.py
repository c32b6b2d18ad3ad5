"""What a task's augmentation is: a module of this room with the task's name. Tasks whose records are never changed need none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from headrace.dataset.schema import DatasetInfo
from headrace.errors import ParamsError
from headrace.params import Section, parse_section
from headrace.plugins import resolve

MakeCopies = Callable[[pa.Table, Sequence[tuple[int, int]]], Mapping[str, pa.Array]]
"""`(records, [(row, copy number from 1), ...]) -> columns that differ from those of the originals`."""


class Augmentation(Protocol):
    """Transforms of one kind of record, and their options."""

    Policy: type[Section]
    """Typed options of extra copies (`augment.policy` in params.yaml)."""

    BatchPolicy: type[Section]
    """Typed options of changes inside the training loop (`train.augmentation`)."""

    def copier(self, policy: Any, record: Mapping[str, Any], *, seed: int) -> MakeCopies:
        """Makes copies of records; each depends on the seed, its original's id and its number only.

        Raises:
            ParamsError: a transform does not fit the records.
        """

    def in_batches(self, policy: Any, record: Mapping[str, Any], *, where: str) -> Callable[..., Any]:
        """The policy on tensors: `(x, record index (B,), epoch, generator) -> x`, x as the program's `prepare` leaves it."""


def find_augmentation(info: DatasetInfo, *, wanted_by: str) -> Augmentation | None:
    """The augmentation of a data set's task, None where it has none and no key of params.yaml (`wanted_by`, '' for none) needs one.

    Raises:
        ParamsError: it has none, and one is needed.
    """
    found: Any = resolve("augmentation", info.task, None, where="collect.task")
    missing = [name for name in ("Policy", "BatchPolicy", "copier", "in_batches") if not hasattr(found, name)]
    if missing and wanted_by:
        raise ParamsError(
            f"{wanted_by} is set, but task {info.task} has no '{missing[0]}': its records cannot be changed. Leave the policy out and "
            "set augment.copies and augment.balance_to to 0, or give the task what headrace/augmentation/contract.py names."
        )
    return None if missing else found


def read_policy(part: Augmentation, values: Mapping[str, Any]) -> Section:
    """`augment.policy`, typed."""
    return parse_section(values, "augment.policy", part.Policy, where="params.yaml")


def batch_augmentation(info: DatasetInfo, values: Mapping[str, Any]) -> Callable[..., Any] | None:
    """`train.augmentation` as one function of a batch; None when it changes nothing.

    Raises:
        ParamsError: a value is wrong, or does not fit the records.
    """
    if not values:
        return None
    where = "train.augmentation"
    part = find_augmentation(info, wanted_by=where)
    if part is None:  # what is wanted is there, or was refused
        return None
    return part.in_batches(parse_section(values, where, part.BatchPolicy, where="params.yaml"), info.record, where=where)
