"""Train a network of the library `transformers` on from a folder of it: its body and weights, its tokenizer or its pictures' scale.

Nothing of the folder is run as code, and nothing is asked of a network: `collect` has brought the files that data/sources.lock pins.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from headrace.dataset.schema import read_info
from headrace.errors import DataError, ParamsError
from headrace.networks.pretrained import BODY, PICTURES, library_classes, without_pooler
from headrace.params import Report
from headrace.plugins import resolve
from headrace.trainers.network import train_from
from headrace.training.description import INFO_NAME
from headrace.training.initial import Initial, brought, check_finite, read_initial
from headrace.training.job import Job
from headrace.training.options import TrainConfig

CONFIG, TOKENIZER, PREPROCESSOR = "config.json", "tokenizer.json", "preprocessor_config.json"

NETWORK = "pretrained"
"""The module of headrace/networks that is trained."""

_OF_MACHINES = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "id2label",
    "label2id",
}
"""Of config.json, what says nothing of the body: old classes, code to fetch, somebody's paths."""

_INTERPOLATION = {0: "nearest", 1: "bicubic", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers; Lanczos, 1, has no like in torch."""


def train(params: TrainConfig, job: Job) -> Report:
    """As the trainer `network` does, from the folder that `train.init_from` names."""
    if params.network != NETWORK:
        raise ParamsError(f"train.trainer pretrained trains train.network {NETWORK}, which is {params.network} here. Set it so.")
    if params.init_from is None:
        raise ParamsError("train.trainer pretrained starts from a transformers folder: name it in train.init_from.")
    folder, origin = brought(job.initial, params.init_from)
    if (folder / INFO_NAME).exists():
        initial, options = _from_model(read_initial(folder, params.init_from), params.init_from)
    else:
        initial, options = read_folder(folder, origin)
        _check_task(initial, options["config"]["model_type"], read_info(job.splits / "train").task)
    if params.augmentation and options["config"]["model_type"] not in PICTURES:
        raise ParamsError(
            "train.augmentation puts an unknown token in the place of others, and to a pretrained encoder every token says something. "
            "Leave it out; `augment` makes copies with other words."
        )
    return train_from(params.model_copy(update={"network_options": options | params.network_options}), job, initial)


def _check_task(initial: Initial, kind: str, name: str) -> None:
    task = resolve("tasks", name, None, where="collect.task")
    fits = hasattr(task, "fit_tokenizer") if initial.tokenizer is not None else not hasattr(task, "fit_encoding")
    if not fits:
        reads = "pictures" if initial.tokenizer is None else "texts"
        raise ParamsError(
            f"train.init_from: {initial.origin['init_from']} is a {kind}, which reads {reads}; these records are of {name}."
        )


def _from_model(initial: Initial | None, init_from: str) -> tuple[Initial, dict[str, Any]]:
    """A model that this trainer made goes on: its body is described in model.json."""
    if initial is None or initial.info is None or initial.info.network.name != NETWORK:
        raise ParamsError(
            f"train.init_from: {init_from} is no model of network {NETWORK}. Set train.trainer to network, and train.network and "
            "train.network_options to what it was trained with."
        )
    options = initial.info.network.options
    return initial, {key: options[key] for key in ("config", "pooling", "size", "interpolation") if key in options}


def read_folder(folder: Path, origin: Mapping[str, Any]) -> tuple[Initial, dict[str, Any]]:
    """Weights under the network's names, with what goes along, and the options of the network.

    Raises:
        ParamsError: a folder of an architecture that is not read, or without a file that is needed.
        DataError: a file is damaged, or files of the folder do not fit each other.
        EngineError: the library is not installed.
    """
    where = f"train.init_from: {origin['init_from']}"
    config = {
        key: value
        for key, value in _read_json(folder, CONFIG, where, "which architecture it is").items()
        if key not in _OF_MACHINES
    }
    library_classes(config)
    options: dict[str, Any] = {"config": config}
    known: dict[str, Any] = {}
    tokenizer = None
    if config["model_type"] in PICTURES:
        values = _read_json(folder, PREPROCESSOR, where, "size, mean and deviation of the pictures it knows")
        try:
            scale, resizing = _pictures(values, config)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: {PREPROCESSOR} cannot be understood: {error!r}. Save the image processor again.") from None
        known, options = {"preprocessing": scale}, options | resizing
    else:
        tokenizer = _tokenizer(folder, config, where)
    weights = _weights(folder, config, where)
    check_finite(weights, where)
    return Initial(weights, None, origin, known=known, tokenizer=tokenizer), options


def _read_json(folder: Path, name: str, where: str, says: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(
            f"{where} has no {name}, which says {says}. A transformers folder is what `save_pretrained` writes, with the tokenizer or the "
            "image processor saved into it too; put the file there and run `headrace sources refresh`."
        ) from None
    except ValueError as error:
        raise DataError(f"{where}: {name} is not JSON: {error}. Save the folder again.") from None
    if not isinstance(found, dict):
        raise DataError(f"{where}: {name} holds no mapping. Save the folder again.")
    return found


def _tokenizer(folder: Path, config: Mapping[str, Any], where: str) -> str:
    """tokenizer.json in one line, without what it says of padding and of cutting: `train.encoding` does."""
    values = _read_json(
        folder, TOKENIZER, where, "which tokens its weights are for (older folders: load and save the tokenizer again)"
    )
    content = json.dumps(values | {"truncation": None, "padding": None}, ensure_ascii=False, separators=(",", ":"))
    try:
        tokens = Tokenizer.from_str(content).get_vocab(with_added_tokens=True)
    except Exception as error:  # the library has no class of its own for it
        raise DataError(f"{where}: {TOKENIZER} is not understood by the library tokenizers: {error}.") from error
    largest, room = max(tokens.values(), default=-1), int(config.get("vocab_size", 0))
    if largest >= room:
        token = next(name for name, number in tokens.items() if number == largest)
        raise DataError(
            f"{where}: {TOKENIZER} and {CONFIG} are of different models: token {token!r} has number {largest}, and vocab_size is {room}. "
            "Take both from one folder."
        )
    return content


def _pictures(values: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and deviation for pixels in [0, 1], and how pictures are resized.

    Raises:
        KeyError, TypeError or ValueError: a value that is none of its kind.
    """
    channels = int(config.get("num_channels", 3))
    factor = 255 * float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 255.0
    is_scaled = values.get("do_normalize", True)
    mean = [float(each) for each in values["image_mean"]] if is_scaled and "image_mean" in values else [0.0] * channels
    std = [float(each) for each in values["image_std"]] if is_scaled and "image_std" in values else [1.0] * channels
    size = values.get("crop_size") if values.get("do_center_crop") and values.get("crop_size") else values.get("size")
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge") or size.get("longest_edge")
        size = [size["height"], size["width"]] if "height" in size else [edge, edge]
    elif isinstance(size, int):
        size = [size, size]
    resizing = {"size": size, "interpolation": _INTERPOLATION.get(int(values.get("resample", 2)), "bilinear")}
    if not len(mean) == len(std) == channels:
        raise ValueError(f"{len(mean)} means and {len(std)} deviations, and num_channels of {CONFIG} is {channels}")
    scale = {"mean": [round(each / factor, 9) for each in mean], "std": [round(each / factor, 9) for each in std]}
    return scale, resizing if values.get("do_resize", True) and size else {}


def _weights(folder: Path, config: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """The library knows under which names older versions of it saved what."""
    from transformers.utils import logging

    described, model = library_classes(config)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        body, told = model.from_pretrained(
            folder,
            config=described.from_dict(dict(config)),
            local_files_only=True,
            use_safetensors=True,
            weights_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **without_pooler(config["model_type"]),
        )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # whatever the library raises of a file
        if "allocate memory" in str(error):
            raise
        raise DataError(
            f"{where} cannot be read by the library transformers: {str(error).strip()[:300]}. Save the folder again."
        ) from error
    for name, found, expected in sorted(told["mismatched_keys"]):
        has, asked = ("x".join(map(str, shape)) for shape in (found, expected))
        raise DataError(
            f"{where}: weight '{name}' is {has} in model.safetensors, and {asked} by {CONFIG}. Take both from one folder."
        )
    missing = sorted(name for name in told["missing_keys"] if not name.endswith("num_batches_tracked"))
    if missing:
        raise DataError(
            f"{where}: model.safetensors has no '{missing[0]}'"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
            + f" of a {config['model_type']} as {CONFIG} describes it. Take both from one folder."
        )
    return {f"{BODY}.{name}": value.detach() for name, value in body.state_dict().items()}
