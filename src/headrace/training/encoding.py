"""How records that are no numbers, such as texts, become numbers: learnt from the training split only, kept in model.json.

A task of such records has `fit_encoding` and `encode` (headrace/tasks/contract.py); of pictures and other arrays nothing is to be learnt.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, ParamsError
from headrace.params import parse_section

if TYPE_CHECKING:
    from headrace.tasks.contract import EncodedTask, PretrainedTask, Task

KEY = "encoding"
"""Where the description in model.json has what was learnt; absent: records are arrays of numbers."""


def learn_encoding(
    task: "Task", program: Any, folders: Sequence[Path], values: Mapping[str, Any], *, tokenizer: str | None = None
) -> dict[str, Any]:
    """`{"encoding": ...}` for the description, empty where there is nothing to learn.

    Args:
        task: of the data.
        program: its module of headrace/training, which types `train.encoding`.
        folders: data sets to learn from.
        values: `train.encoding`.
        tokenizer: of a pretrained network: nothing but its use is measured then.

    Raises:
        ParamsError: a wrong option, or options for records that are numbers already, or that a tokenizer has decided.
        DataError: there is no record to learn from.
    """
    fit = getattr(task, "fit_encoding", None)
    if fit is None:
        if values:
            raise ParamsError("train.encoding has no effect: records of this task are numbers as they are. Leave it out.")
        return {}
    options = parse_section(values, "train.encoding", program.EncodingOptions, where="params.yaml")
    if not any(read_info(folder).rows for folder in folders):
        raise DataError(
            f"{', '.join(map(str, folders))}: no records. Run the stages before again, or look at the params of split."
        )
    if tokenizer is not None:
        return {
            KEY: _with_tokenizer(cast("PretrainedTask", task), _inputs(task, folders), tokenizer, values, options.model_dump())
        }
    return {KEY: fit(_inputs(task, folders), record=read_info(folders[0]).record, **options.model_dump())}


def _with_tokenizer(
    task: "PretrainedTask", parts: Iterator[np.ndarray], tokenizer: str, values: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    if others := sorted(values.keys() - {"max_tokens"}):
        raise ParamsError(
            f"train.encoding: {', '.join(others)}: the tokenizer that comes with train.init_from has decided that. Leave only max_tokens."
        )
    try:
        found: dict[str, Any] = task.fit_tokenizer(parts, tokenizer=tokenizer, max_tokens=options["max_tokens"])
    except ValueError as error:
        raise ParamsError(f"train.encoding does not fit the tokenizer of train.init_from: {error}.") from None
    return found


def _inputs(task: "Task", folders: Sequence[Path]) -> Iterator[np.ndarray]:
    for folder in folders:
        record = read_info(folder).record
        for table in iter_tables(folder):
            yield task.inputs(table, record)


def to_numbers(task: "Task", inputs: np.ndarray, description: Mapping[str, Any]) -> np.ndarray:
    """What the program takes, (N, ...): the inputs, encoded where the description says how."""
    if KEY not in description:
        return inputs
    return cast("EncodedTask", task).encode(inputs, description[KEY])


def input_shape(record: Mapping[str, Any], description: Mapping[str, Any]) -> Sequence[int]:
    """Shape of one record as a network is built for: images height, width, channels; texts tokens and size of the vocabulary."""
    shape: Sequence[int] = description.get(KEY, record)["shape"]
    return shape
