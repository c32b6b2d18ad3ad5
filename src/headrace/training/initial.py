"""Weights that a training starts from: what fits the network is taken over, the rest keeps its first weights, and both are told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from headrace.errors import ConfigError, DataError, ParamsError
from headrace.params import Report
from headrace.training.description import INFO_NAME, CandidateInfo, read_candidate_info

WEIGHTS, ORIGIN = "model.safetensors", "initial.json"
"""In the folder that `collect` brings (headrace/sources/initial.py)."""


class TakenOver(Report):
    """What became of the weights."""

    init_from: str
    version: str | None
    """Of a registered model; the commit of a hub's."""
    package: str | None
    """Digest of its package."""
    parameters: int
    """Numbers taken over."""
    share: float
    """Of all numbers of the network."""
    fresh: list[str]
    """Modules of the network that keep their first weights: those of the classes, and what was not found by name and shape."""
    unused: list[str]
    """Modules of the file that the network does not have so."""


@dataclass(frozen=True)
class Initial:
    """Weights to start from, with what is known of their model."""

    weights: Mapping[str, Tensor]
    info: CandidateInfo | None
    """None: a file of weights, or a folder that is none of ours."""
    origin: Mapping[str, Any]
    known: Mapping[str, Any] = field(default_factory=dict)
    """Without `info`: what the description of the program takes from a folder."""
    tokenizer: str | None = None
    """Without `info`: what makes numbers of texts, for the task's `fit_tokenizer`."""


def read_initial(folder: Path | None, init_from: str | None) -> Initial | None:
    """The weights that `collect` brought; None where nothing is started from.

    Raises:
        DataError: the file is damaged, or a weight is not finite.
        HeadraceError: as `brought`.
    """
    if init_from is None:
        return None
    folder, origin = brought(folder, init_from)
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise DataError(f"train.init_from: {init_from} cannot be read as safetensors: {error}. Take another file.") from None
    check_finite(weights, f"train.init_from: {init_from}")
    return Initial(weights, read_candidate_info(folder) if (folder / INFO_NAME).exists() else None, origin)


def brought(folder: Path | None, init_from: str) -> tuple[Path, dict[str, Any]]:
    """The folder that `collect` wrote, and what it says of where that came from.

    Raises:
        ConfigError: dvc.yaml hands none over.
        ParamsError: they are of another `train.init_from`.
    """
    if folder is None:
        raise ConfigError(
            "train.init_from is set, and dvc.yaml hands no weights to `train`: add `--initial models/initial` to the commands of "
            "collect and train, models/initial to the outs of collect and to the deps of train."
        )
    origin: dict[str, Any] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    if origin["init_from"] != init_from:
        pinned = f"has {origin['init_from']}" if origin["init_from"] else "has no weights"
        raise ParamsError(
            f"train.init_from is {init_from}, data/sources.lock {pinned}. Run `headrace sources refresh`, then again."
        )
    return folder, origin


def check_finite(weights: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        DataError: one does.
    """
    broken = [name for name, value in weights.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
    if broken:
        raise DataError(f"{where}: weight '{broken[0]}' holds NaN or infinity. Take other weights.")


def known_description(initial: Initial, *, task: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Of the description of its program what makes a network see numbers as this one did: its vocabulary, its mean and deviation.

    Raises:
        ParamsError: the weights are of another task.
    """
    info = initial.info
    if info is None:
        return dict(initial.known)
    if info.task != task:
        raise ParamsError(
            f"train.init_from: {initial.origin['init_from']} is a model of {info.task}, these records are of {task}."
        )
    learnt = {key: value for key, value in info.description.items() if key not in {"prediction", "temperature"}}
    has_its_channels = info.record["shape"][2:] == record["shape"][2:]  # mean and deviation are of channels
    return {key: value for key, value in learnt.items() if key != "preprocessing" or has_its_channels}


def take_over(
    initial: Initial, network: nn.Module, build: Callable[[int], nn.Module], *, classes: list[str], name: str
) -> tuple[TakenOver, frozenset[str]]:
    """Copy into the network what fits it: modules whose tensors are all there, by name and shape.

    What depends on the number of classes is taken over only where model.json says that the classes are the same ones.

    Args:
        initial: from `read_initial`.
        network: with its first weights; changed.
        build: the same network for so many classes, to see what depends on them.
        classes: of the data.
        name: of the network, for messages.

    Returns:
        What was taken over, and the names of the tensors of the backbone among it: those that do not depend on the classes.

    Raises:
        ParamsError: nothing fits.
    """
    own, found = network.state_dict(), initial.weights
    head = _head(own, build, classes)
    is_same_task = initial.info is not None and initial.info.classes == classes
    modules = _by_module(own)
    fitting = {
        module
        for module, keys in modules.items()
        if all(key in found and found[key].shape == own[key].shape for key in keys) and (is_same_task or not head & set(keys))
    }
    taken = {key for module in fitting for key in modules[module]}
    if not any(own[key].ndim >= 2 for key in taken - head):
        raise ParamsError(_nothing_fits(initial, own, name))
    with torch.no_grad():
        for key in sorted(taken):
            own[key].copy_(found[key])
    numbers = sum(own[key].numel() for key in taken)
    report = TakenOver(
        init_from=initial.origin["init_from"],
        version=initial.origin.get("version"),
        package=initial.origin.get("package"),
        parameters=numbers,
        share=round(numbers / sum(value.numel() for value in own.values()), 4),
        fresh=sorted(modules.keys() - fitting),
        unused=sorted(_by_module(found).keys() - fitting),
    )
    return report, frozenset(taken - head)


def _head(own: Mapping[str, Tensor], build: Callable[[int], nn.Module], classes: list[str]) -> set[str]:
    """What would have another shape with one class more; whoever wrote the network need not say it."""
    if not classes:
        return set()
    with torch.random.fork_rng(devices=[]):  # building draws weights, and the training's are drawn already
        other = build(len(classes) + 1).state_dict()
    return {key for key, value in own.items() if key not in other or other[key].shape != value.shape}


def _by_module(weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in weights:
        found.setdefault(key.rpartition(".")[0], []).append(key)
    return found


def _nothing_fits(initial: Initial, own: Mapping[str, Tensor], name: str) -> str:
    def example(weights: Mapping[str, Tensor]) -> str:
        key = next((key for key, value in weights.items() if value.ndim >= 2), next(iter(weights), ""))
        return f"'{key}' of {'x'.join(map(str, weights[key].shape))}" if key else "nothing"

    info = initial.info
    whose = (
        f" It is a {info.network.name} with network_options {json.dumps(info.network.options, sort_keys=True)}." if info else ""
    )
    return (
        f"train.init_from: no module of {initial.origin['init_from']} fits network '{name}': it begins with {example(initial.weights)}, "
        f"the network with {example(own)}.{whose} Set train.network and train.network_options to what the weights were trained with."
    )
