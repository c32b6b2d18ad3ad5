"""What stands beside the program in a package, whatever kind it is: signature, input example, pins; and checks of records and output."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, EngineError
from headrace.plugins import resolve
from headrace.training.description import CandidateInfo
from headrace.training.encoding import KEY, to_numbers


@dataclass(frozen=True)
class Packed:
    """A program that was checked on real records, ready to be written."""

    info: CandidateInfo
    files: Mapping[str, bytes]
    """The program, and what else of the model folder goes along."""
    packages: Sequence[str]
    """What opening and calling the program needs, beside what the task's `encode` does, and no more."""
    output: str
    """What the program gives, by name."""
    ids: list[str]
    """Of the records it was checked on."""
    inputs: np.ndarray
    """Those records."""
    outputs: np.ndarray
    """What the program gives for the first of them, as many as were asked for."""
    difference: float
    """Largest one of a number between the program and the trained model."""
    compared_with: str
    """'network', or what else was trained."""


def real_records(folder: Path, info: CandidateInfo, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, inputs, and inputs as the program takes them, of the first records of a data set, at most `count`.

    Raises:
        DataError: fewer than two, or records of another shape than the model's.
    """
    data = read_info(folder)
    if data.rows < 2:
        raise DataError(
            f"{folder} has {data.rows} records; the program is checked on at least 2 real ones. Give another split as --examples."
        )
    if data.record != info.record:
        raise DataError(f"{folder} holds records {data.record}, the model was trained on {info.record}. Run `train` again.")
    task = resolve("tasks", info.task, None, where="collect.task")
    ids: list[str] = []
    parts: list[np.ndarray] = []
    for table in iter_tables(folder):
        rows = table.slice(0, count - len(ids))
        ids += rows["id"].to_pylist()
        parts.append(task.inputs(rows, data.record))
        if len(ids) >= count:
            break
    inputs = np.concatenate(parts)
    return ids, inputs, to_numbers(task, inputs, info.description)


def about_tolerance(info: CandidateInfo) -> str:
    """What else may be the reason that a program differs by more than `package.tolerance`; '' for probabilities."""
    return "" if info.classes else " The tolerance is in the unit of what is predicted, of which float32 keeps seven digits."


def check_probabilities(probabilities: np.ndarray, records: int, info: CandidateInfo) -> None:
    """Hold a program's output against what a model of these classes must give.

    Raises:
        EngineError: it is no probability of each class; without classes: no finite numbers for each record.
    """
    if not info.classes:
        if len(probabilities) != records or probabilities.dtype != np.float32 or not np.isfinite(probabilities).all():
            raise EngineError(
                f"the program gives {probabilities.dtype} {probabilities.shape} for {records} records, or numbers that are not finite; a "
                "model without classes gives one row of float32 for each. Look at `program` in model.json."
            )
        return
    expected = (records, len(info.classes))
    if probabilities.shape != expected or probabilities.dtype != np.float32:
        raise EngineError(
            f"the program gives {probabilities.dtype} {probabilities.shape} for {records} records; a model of "
            f"{len(info.classes)} classes gives float32 {expected}. Look at `program` in model.json."
        )
    if not bool(((probabilities >= 0) & (np.abs(probabilities.sum(axis=1, keepdims=True) - 1) < 1e-3)).all()):
        raise EngineError(
            "the program's outputs are no probabilities: a row does not sum to 1. End the network's program with a softmax."
        )


def signature(info: CandidateInfo, output: str) -> dict[str, Any]:
    """Names, types and shapes of input and output; -1 is the number of records. Of rows: the columns that are features."""
    shape = [int(size) for size in info.record["shape"]]
    columns = [column for column in info.record.get("columns", ()) if column["feature"]]
    rows = [{"name": column["name"], "dtype": column["kind"], "shape": [-1]} for column in columns]
    return {
        "inputs": rows or [{"name": str(info.record["payload"]), "dtype": str(info.record["dtype"]), "shape": [-1, *shape]}],
        "outputs": [{"name": output, "dtype": "float32", "shape": [-1, len(info.classes) or -1]}],
        "classes": info.classes,
    }


def input_example(ids: list[str], inputs: np.ndarray, outputs: np.ndarray, *, tolerance: float) -> dict[str, Any]:
    """Real records with the output that whoever serves the model must get, within `tolerance`."""
    return {"ids": ids, "inputs": inputs.tolist(), "outputs": outputs.tolist(), "tolerance": tolerance}


def requirements(packed: Packed) -> str:
    """Exact pins of what serving needs. The build of torch (CPU, CUDA) is the server's choice, so it is left out."""
    names = sorted({*packed.packages, *packed.info.description.get(KEY, {}).get("requires", [])})
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in names)


def compact_json(value: Mapping[str, Any]) -> str:
    """JSON of large arrays: one line for each key."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value[key], sort_keys=True, allow_nan=False)}" for key in sorted(value)]
    return "{\n" + ",\n".join(lines) + "\n}\n"
