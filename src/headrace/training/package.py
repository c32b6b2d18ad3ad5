"""What stands beside the program in a package: signature, input example, pins; and the checks before it may be written."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import DataError, EngineError
from headrace.plugins import resolve
from headrace.training.candidate import WEIGHTS_NAME, CandidateInfo, load_candidate
from headrace.training.encoding import KEY, to_numbers
from headrace.training.export import Program, largest_difference

SERVING_PACKAGES = ("numpy", "torch")
"""What opening and calling the program needs, and no more."""


def load_torch_candidate(folder: Path) -> tuple[nn.Module, CandidateInfo]:
    """The program and model.json of a model folder.

    Raises:
        DataError: no torch weights, or what `load_candidate` raises.
    """
    if folder.is_dir() and not (folder / WEIGHTS_NAME).exists():
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise DataError(
            f"{folder} holds {found}, but no {WEIGHTS_NAME}: `package` makes a program out of a torch network. An own trainer "
            "writes its model with headrace.training.candidate.write_candidate; a model of another kind becomes a network that "
            "computes the same. "
            "docs/how-to/bring-your-own-trainer.md shows both."
        )
    return load_candidate(folder)


def real_records(folder: Path, info: CandidateInfo, count: int) -> tuple[list[str], np.ndarray, Tensor]:
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
    return ids, inputs, torch.from_numpy(to_numbers(task, inputs, info.description))


def check_program(program: Program, module: nn.Module, records: Tensor, info: CandidateInfo, *, tolerance: float) -> float:
    """Compare the exported program with the network it came from; returns the largest difference of a number it gives.

    Raises:
        EngineError: they differ by more than `tolerance`, or the output is no probability of each class.
    """
    probabilities = program(records)
    if not info.classes:
        if (
            len(probabilities) != len(records)
            or probabilities.dtype != torch.float32
            or not bool(torch.isfinite(probabilities).all())
        ):
            raise EngineError(
                f"the program gives {probabilities.dtype} {tuple(probabilities.shape)} for {len(records)} records, or numbers that are not "
                "finite; a model without classes gives one row of float32 for each. Look at `program` in model.json."
            )
        return _check_difference(program, module, records, tolerance)
    expected = (len(records), len(info.classes))
    if tuple(probabilities.shape) != expected or probabilities.dtype != torch.float32:
        raise EngineError(
            f"the program gives {probabilities.dtype} {tuple(probabilities.shape)} for {len(records)} records; a model of "
            f"{len(info.classes)} classes gives float32 {expected}. Look at `program` in model.json."
        )
    if not bool(((probabilities >= 0) & ((probabilities.sum(dim=1, keepdim=True) - 1).abs() < 1e-3)).all()):
        raise EngineError(
            "the program's outputs are no probabilities: a row does not sum to 1. End the network's program with a softmax."
        )
    return _check_difference(program, module, records, tolerance)


def _check_difference(program: Program, module: nn.Module, records: Tensor, tolerance: float) -> float:
    difference = largest_difference(program, module, records)
    if not difference <= tolerance:
        raise EngineError(
            f"the exported program and the trained network differ by {difference:.2g} on {len(records)} records, more than "
            f"package.tolerance {tolerance:g}. Does the network draw random numbers, or keep state between calls?"
        )
    return difference


def signature(info: CandidateInfo) -> dict[str, Any]:
    """Names, types and shapes of input and output; -1 is the number of records."""
    shape = [int(size) for size in info.record["shape"]]
    name = getattr(resolve("training", info.program, None, where="model.json: program"), "OUTPUT", "probabilities")
    return {
        "inputs": [{"name": str(info.record["payload"]), "dtype": str(info.record["dtype"]), "shape": [-1, *shape]}],
        "outputs": [{"name": name, "dtype": "float32", "shape": [-1, len(info.classes) or -1]}],
        "classes": info.classes,
    }


def input_example(ids: list[str], inputs: np.ndarray, outputs: Tensor, *, tolerance: float) -> dict[str, Any]:
    """Real records with the output that whoever serves the model must get, within `tolerance`."""
    return {"ids": ids, "inputs": inputs.tolist(), "outputs": outputs.tolist(), "tolerance": tolerance}


def requirements(info: CandidateInfo) -> str:
    """Exact pins of what serving needs. The build of torch (CPU, CUDA) is the server's choice, so it is left out."""
    names = sorted({*SERVING_PACKAGES, *info.description.get(KEY, {}).get("requires", [])})
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in names)


def compact_json(value: Mapping[str, Any]) -> str:
    """JSON of large arrays: one line for each key."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value[key], sort_keys=True, allow_nan=False)}" for key in sorted(value)]
    return "{\n" + ",\n".join(lines) + "\n}\n"
