"""What a training needs before its first step: data on the device, network with first weights, loss, the program around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.plugins import resolve
from headrace.training.data import EVALUATION_BATCH, Augment, Batches, InOrder, Samples, check_labels, load_samples, stream_seed
from headrace.training.device import resident_bytes
from headrace.training.encoding import KEY, input_shape, learn_encoding
from headrace.training.initial import Initial, TakenOver, known_description, take_over
from headrace.training.losses import Loss, find_loss
from headrace.training.network import build_network, num_outputs
from headrace.training.options import FitConfig
from headrace.training.temperature import fit_temperature

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

INITIALISE_SAMPLES = 5000
"""Training inputs that a network's `initialise` sees, drawn by the seed."""

MAPPED_NAME = "inputs.mapped"

TARGET = "target"
"""Where the description has what the targets were scaled by."""


@dataclass(frozen=True)
class Session:
    """Ready to be handed to `loop.fit`."""

    network: nn.Module
    train: Batches
    validation: InOrder | None
    loss: Loss
    samples: int
    """Training records."""
    program_name: str
    """Module of the program around the network."""
    description: dict[str, Any]
    """What model.json keeps to build that program again."""
    device: torch.device
    mapped: Path
    taken: TakenOver | None = None
    """What was taken over from other weights; None: nothing was asked for."""
    backbone: frozenset[str] = frozenset()
    """Names of the tensors taken over that do not depend on the classes."""

    @property
    def encoded(self) -> dict[str, float] | None:
        """What the encoding measured of the training records; None where they are numbers as they are."""
        return dict(self.description[KEY]["measured"]) if KEY in self.description else None

    def around(self, network: nn.Module) -> nn.Module:
        """The program around trained weights: raw inputs to probabilities, in evaluation mode on the device."""
        wrap = resolve("training", self.program_name, "from_description", where="PROGRAM of the task")
        program: nn.Module = wrap(network, self.description)
        return program.to(self.device).eval()

    def calibrated(self, network: nn.Module, held_out: InOrder) -> Self:
        """This session with the temperature that trained weights need, measured on records that were held out, in its description."""
        temperature = fit_temperature(*_scored(self.around(network), held_out))
        return replace(self, description={**self.description, "temperature": temperature})

    def written_by(self, network: nn.Module, folder: Path) -> list[dict[str, Any]]:
        """What a trained network makes of nothing, where its program can show that; `folder` holds what it was trained on."""
        make = getattr(resolve("training", self.program_name, None, where="PROGRAM of the task"), "samples", None)
        if make is None:
            return []
        payload = str(read_info(folder).record["payload"])
        texts = [text for table in iter_tables(folder, [payload]) for text in table.column(payload).to_pylist()]
        found: list[dict[str, Any]] = make(network.to("cpu").eval(), self.description, texts)
        return found

    def close(self) -> None:
        """Remove what was streamed to disk."""
        self.mapped.unlink(missing_ok=True)


def open_session(
    config: FitConfig,
    train_folders: Sequence[Path],
    validation_folder: Path | None,
    task: "Task",
    *,
    seed: int,
    network: tuple[str, Mapping[str, Any]],
    loss: str | None,
    prediction: Mapping[str, Any],
    encoding: Mapping[str, Any] | None = None,
    augment: Augment | None,
    device: torch.device,
    scratch: Path,
    calibrate: bool = False,
    initial: Initial | None = None,
) -> Session:
    """Load data, build the network from the seed, put both on the device.

    Args:
        config: batch size and memory layout are taken from it.
        train_folders: data sets to train on, one after the other.
        validation_folder: data set to measure on; None or without records: nothing is measured.
        task: of the data.
        seed: of everything random.
        network: name and options.
        loss: name; None: the task's own.
        prediction: options of the program around the network.
        encoding: options of how records become numbers, where that is learnt.
        augment: random changes to batches.
        device: where training runs.
        scratch: folder for data that exceed memory.
        calibrate: whether records are needed that nothing was trained on, to measure a temperature.
        initial: weights that the network takes over where they fit.

    Raises:
        ParamsError: network, loss or options are wrong for these data.
        DataError: data that cannot be learnt from.
    """
    info = read_info(train_folders[0])
    program = resolve("training", task.PROGRAM, None, where="PROGRAM of the task")
    if calibrate and not info.classes:
        raise ParamsError("train.calibrate is about probabilities of classes, and these records have none. Set it to false.")
    known = known_description(initial, task=info.task, record=info.record) if initial else {}
    tokenizer = initial.tokenizer if initial else None
    learnt = known if KEY in known else learn_encoding(task, program, train_folders, encoding or {}, tokenizer=tokenizer)
    if initial is not None and KEY in learnt and KEY not in known and tokenizer is None:
        raise ParamsError(
            f"train.init_from: {initial.origin['init_from']} is weights alone, and nobody knows which tokens they were trained for. "
            "Give the folder of a model, with model.json beside model.safetensors; for a folder of transformers set train.trainer and "
            "train.network to pretrained."
        )
    samples = load_samples(
        train_folders,
        task,
        description=learnt,
        scratch=scratch / MAPPED_NAME,
        budget_bytes=resident_bytes(torch.device("cpu")),
    )
    check_labels(samples, info.classes)
    aimed = _measured_targets(program, samples)
    options = parse_section(prediction, "train.prediction", program.PredictionOptions, where="params.yaml")
    description = {
        "preprocessing": program.measure(samples.inputs).model_dump(mode="json"),
        "prediction": options.model_dump(mode="json"),
        **learnt,
        **known,
        **aimed,
    }
    samples = _scaled(program, samples, aimed)

    torch.manual_seed(seed)
    shape = input_shape(info.record, description)
    net, initialise = build_network(network[0], network[1], input_shape=shape, num_classes=num_outputs(info.classes))
    memory_format = torch.channels_last if config.channels_last else None
    normalise = program.from_description(net, description).to(device).normalise
    if initialise is not None:
        chosen = torch.randperm(len(samples), generator=torch.Generator().manual_seed(stream_seed(seed, "initialise")))
        initialise(net, normalise(program.prepare(samples.inputs[chosen[:INITIALISE_SAMPLES]].to(device))))
    taken: TakenOver | None = None
    backbone: frozenset[str] = frozenset()
    if initial is not None:

        def build(classes: int) -> nn.Module:
            return build_network(network[0], network[1], input_shape=shape, num_classes=classes)[0]

        taken, backbone = take_over(initial, net, build, classes=info.classes, name=network[0])
    net = net.to(device)
    if memory_format is not None:
        net = net.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack this form

    resident = resident_bytes(device)
    inputs = samples.inputs.to(device) if samples.inputs.nbytes <= resident else samples.inputs
    views = {"device": device, "prepare": program.prepare, "normalise": normalise, "memory_format": memory_format}
    train = Batches(
        inputs,
        samples.labels,
        batch_size=config.batch_size,
        seed=seed,
        augment=augment,
        cache_bytes=resident // 4,
        lengths=_lengths(samples) if config.bucket_by_length else None,
        **views,
    )
    validation = None
    if validation_folder is not None and read_info(validation_folder).rows:
        held_out = load_samples([validation_folder], task, description=description)
        check_labels(held_out, info.classes, distinct=1)
        held_out = _scaled(program, held_out, aimed)
        # A sample with many targets has as many rows of scores: no more at once than training takes.
        part = EVALUATION_BATCH if held_out.labels.ndim == 1 else config.micro_batch or config.batch_size
        validation = InOrder(held_out, part=part, **views)
    elif calibrate:
        raise ParamsError(
            "train.calibrate measures on the validation split, and there is none. Set train.refit to false and split.validation above "
            "0, or train.calibrate to false."
        )
    return Session(
        network=net,
        train=train,
        validation=validation,
        loss=find_loss(loss or task.LOSS),
        samples=len(samples),
        program_name=task.PROGRAM,
        description=description,
        device=device,
        mapped=scratch / MAPPED_NAME,
        taken=taken,
        backbone=backbone,
    )


def _lengths(samples: Samples) -> torch.Tensor:
    """Tokens of each sample, int64 (N,).

    Raises:
        ParamsError: samples are no texts.
    """
    if samples.inputs.ndim != 2 or samples.labels.ndim != 1 or samples.inputs.is_floating_point():
        raise ParamsError(
            "train.bucket_by_length is about texts of different lengths; these records are all of one. Set it to false."
        )
    return (samples.inputs != 0).sum(dim=1)


def _measured_targets(program: Any, samples: Samples) -> dict[str, Any]:
    """For the description, what the targets of a measured task are scaled by; empty where a program does not scale them."""
    if not hasattr(program, "measure_targets"):
        return {}
    return {TARGET: program.measure_targets(samples.labels).model_dump(mode="json")}


def _scaled(program: Any, samples: Samples, aimed: Mapping[str, Any]) -> Samples:
    """Samples with the targets that the network is trained on."""
    return replace(samples, labels=program.scale_targets(samples.labels, aimed[TARGET])) if aimed else samples


def _scored(program: nn.Module, held_out: InOrder) -> tuple[np.ndarray, np.ndarray]:
    """Scores before the softmax (N, K) and labels (N,)."""
    parts = []
    with torch.inference_mode():
        for x, y in held_out.parts():
            parts.append((program.scores(x).cpu().numpy(), y.cpu().numpy()))  # type: ignore[operator]  # a method of every program
    scores, labels = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(labels)
