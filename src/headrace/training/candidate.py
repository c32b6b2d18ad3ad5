"""A model folder: model.safetensors (weights) and model.json (everything needed to build the program around them).

Whoever writes this folder and a predictions file is a trainer: our loop, a plain torch script, scikit-learn put into a network.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from headrace.dataset.schema import DatasetInfo
from headrace.errors import DataError
from headrace.plugins import resolve
from headrace.storage.local import write_json
from headrace.training.description import INFO_NAME, CandidateInfo, NetworkInfo, read_candidate_info
from headrace.training.encoding import input_shape
from headrace.training.network import build_network, num_outputs
from headrace.training.predictions import write_predictions

WEIGHTS_NAME = "model.safetensors"

__all__ = ["load_candidate", "write_candidate", "write_predictions"]


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
        num_classes=num_outputs(info.classes),
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


def _check_finite(weights: Mapping[str, torch.Tensor], where: str) -> None:
    for key, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise DataError(f"{where}: weight '{key}' holds NaN or infinity; it is never used. Lower the learning rate.")
