"""Tiny trainings: squares of 8 x 8 with a bright half, which a small network learns in seconds."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headrace.dataset.shards import ShardWriter
from headrace.formats.record import RawRecord
from headrace.intake import image_classification as intake
from headrace.training.data import Batches, InOrder, Samples

CPU = torch.device("cpu")
CLASSES = ("left", "right", "none")


def squares(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 8, 8, 1) noise with a bright left or right half, or neither; labels 0, 1, 2."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 120, (count, 8, 8, 1)).astype(np.uint8)
    images[labels == 0, :, :4] += 60
    images[labels == 1, :, 4:] += 60
    return images, labels.astype(np.int64)


def to_unit(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def centred(x: Tensor) -> Tensor:
    return (x - 0.5) * 2


def make_batches(count: int = 48, batch_size: int = 8, **options: object) -> Batches:
    images, labels = squares(count)
    settings = {"seed": 3, "device": CPU, "prepare": to_unit, "normalise": centred} | options
    return Batches(torch.from_numpy(images), torch.from_numpy(labels), batch_size=batch_size, **settings)  # type: ignore[arg-type]


def make_validation(count: int = 24) -> InOrder:
    images, labels = squares(count, seed=9)
    samples = Samples(torch.from_numpy(images), torch.from_numpy(labels), [str(i) for i in range(count)])
    return InOrder(samples, device=CPU, prepare=to_unit, normalise=centred)


def write_squares(folder: Path, count: int, *, seed: int = 0, labels: np.ndarray | None = None) -> None:
    images, truth = squares(count, seed=seed)
    options = intake.RecordOptions(height=8, width=8, channels=1)
    classes = {name: index for index, name in enumerate(CLASSES)}
    shape = intake.record_info(options)
    with ShardWriter(folder, intake.record_schema(options), task="image_classification", classes=CLASSES, record=shape) as writer:
        if count == 0:
            return
        names = [CLASSES[label] for label in (truth if labels is None else labels)]
        raws = [RawRecord(image, name, "", "squares", folder.name) for image, name in zip(images, names, strict=True)]
        writer.write(intake.make_rows(raws, classes, options))
