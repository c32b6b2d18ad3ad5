"""A model folder: model.safetensors (weights) and model.json (everything needed to build the program around them).

Whoever writes this folder and a predictions file is a trainer: our loop, a plain torch script, scikit-learn put into a network.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from headrace.dataset.schema import DatasetInfo
from headrace.errors import DataError
from headrace.plugins import resolve
from headrace.storage.local import write_json
from headrace.training.encoding import input_shape
from headrace.training.network import build_network

WEIGHTS_NAME = "model.safetensors"
INFO_NAME = "model.json"


class NetworkInfo(BaseModel):
    """How to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Module of headrace/networks, or `module:function` of the user's code."""
    options: dict[str, Any]


class CandidateInfo(BaseModel):
    """model.json. A function of the training's inputs only: no clock, host or path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: str
    classes: list[str]
    record: dict[str, Any]
    """What dataset.json says of one record."""
    network: NetworkInfo
    program: str = "image_classification"
    """The program around the network: module of headrace/training with `from_description(network, description)`."""
    description: dict[str, Any]
    """What the program is made from; images: `preprocessing` and `prediction`; texts: `encoding` too, with the vocabulary."""
    parameters: int
    """Number of weights, trained or not."""
    seed: int | None = None
    fingerprint: str = ""
    training: dict[str, Any] = Field(default_factory=dict)
    """What the trainer wants to be remembered of the training, such as epochs and steps."""


def write_candidate(
    folder: Path,
    network: nn.Module,
    *,
    data: DatasetInfo,
    name: str,
    options: Mapping[str, Any],
    description: Mapping[str, Any],
    program: str = "image_classification",
    seed: int | None = None,
    fingerprint: str = "",
    training: Mapping[str, Any] | None = None,
) -> CandidateInfo:
    """Write a model folder.

    Args:
        folder: made if missing.
        network: the trained network, as `networks.<name>.build(options, ...)` makes it.
        data: dataset.json of the training data: task, classes and record are taken from it.
        name: what builds the network: a module of headrace/networks, or `module:function`.
        options: the network's options.
        description: what the program around the network is made from; images: `preprocessing` (mean, std) and `prediction`.
        program: the program's module.
        seed: of the training.
        fingerprint: of the training's inputs.
        training: what should be remembered.

    Raises:
        DataError: a weight is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().to("cpu").contiguous() for key, value in network.state_dict().items()}
    _check_finite(weights, "the trained network")
    info = CandidateInfo(
        task=data.task,
        classes=data.classes,
        record=data.record,
        network=NetworkInfo(name=name, options=dict(options)),
        program=program,
        description=dict(description),
        parameters=sum(p.numel() for p in network.parameters()),
        seed=seed,
        fingerprint=fingerprint,
        training=dict(training or {}),
    )
    save_file(weights, folder / WEIGHTS_NAME)
    write_json(folder / INFO_NAME, info.model_dump(mode="json"))
    return info


def load_candidate(folder: Path) -> tuple[nn.Module, CandidateInfo]:
    """The program of a model folder, on the CPU: raw inputs (images: uint8 (B, H, W, C)) to probabilities (B, K) float32.

    Raises:
        DataError: the folder is incomplete, damaged, or its weights do not fit its network or are not finite.
    """
    info = read_candidate_info(folder)
    network, _ = build_network(
        info.network.name,
        info.network.options,
        input_shape=input_shape(info.record, info.description),
        num_classes=len(info.classes),
    )
    try:
        weights = load_file(folder / WEIGHTS_NAME)
        network.load_state_dict(weights)
    except FileNotFoundError:
        raise DataError(f"{folder} has no {WEIGHTS_NAME}. Run the stage `train` again.") from None
    except (SafetensorError, OSError) as error:
        raise DataError(f"{folder / WEIGHTS_NAME} is damaged ({error}). `dvc checkout -f {folder}` brings it back.") from None
    except RuntimeError as error:
        raise DataError(f"the weights of {folder} do not fit network '{info.network.name}': {error}") from None
    _check_finite(weights, str(folder / WEIGHTS_NAME))
    wrap = resolve("training", info.program, "from_description", where="model.json: program")
    program: nn.Module = wrap(network, info.description)
    return program.eval(), info


def read_candidate_info(folder: Path) -> CandidateInfo:
    """Read model.json.

    Raises:
        DataError: it is missing or not one of ours.
    """
    path = folder / INFO_NAME
    try:
        return CandidateInfo.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a model folder: it has no {INFO_NAME}. Run the stage `train`.") from None
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} cannot be understood: {error}. It was edited by hand or written by another version.") from None


def _check_finite(weights: Mapping[str, torch.Tensor], where: str) -> None:
    for key, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise DataError(f"{where}: weight '{key}' holds NaN or infinity; it is never used. Lower the learning rate.")


def write_predictions(
    path: Path,
    *,
    ids: Sequence[str],
    splits: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    measured: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write predictions.parquet: `id`, `split`, `label`, `probabilities` (one float32 per class), a row for each record.

    Args:
        path: the file to write.
        ids: record ids, as in the data set.
        splits: 'validation' or 'test', for each record.
        labels: true classes, int in [0, K).
        probabilities: (N, K), rows sum to 1.
        measured: more columns of numbers (N,), such as lengths: `evaluate` looks whether the score depends on them.

    Raises:
        DataError: lengths differ, a value is not finite, or a row does not sum to 1.
    """
    values = np.asarray(probabilities, np.float32)
    if values.ndim != 2 or not len(values) == len(ids) == len(splits) == len(labels):
        raise DataError(
            f"predictions need one row for each record: {len(ids)} ids, {len(splits)} splits, {len(labels)} labels and "
            f"probabilities of shape {values.shape}."
        )
    if not np.isfinite(values).all() or (len(values) and np.abs(values.sum(axis=1) - 1).max() > 1e-3):
        raise DataError("probabilities must be finite and sum to 1 in each row. Apply a softmax, or divide by the sum.")
    table = pa.table(
        {
            "id": pa.array(list(ids), pa.string()),
            "split": pa.array(list(splits), pa.string()),
            "label": pa.array(np.asarray(labels, np.int64)),
            "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]),
            **{name: pa.array(np.asarray(column)) for name, column in (measured or {}).items()},
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
