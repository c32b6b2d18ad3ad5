"""Learn what the pictures of each class look like, and draw new ones for classes that have few: the stage `augment` of this project.

Run by the DAG: python -m headrace.stages synthetic_digits.augment --train data/scarce/train --out data/augmented
    --plots reports/plots/augment
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from headrace.augmentation.contract import find_augmentation
from headrace.augmentation.copies import training_info
from headrace.augmentation.sheet import SheetRow, write_sheet
from headrace.dataset.schema import DatasetInfo
from headrace.dataset.shards import read_table, writer_like
from headrace.listening import Progress
from headrace.params import Out, Report, Section, parse_section
from headrace.tasks.image_classification import inputs
from pydantic import Field

from synthetic_digits.vae import ConditionalVae, draw, fit

SHOWN = 6
"""New pictures of each class on the contact sheet."""


class Params(Section):
    """`augment` in params.yaml."""

    per_class: int = Field(ge=0)
    """Classes with fewer training records get new pictures up to this number; 0 makes none."""
    hidden: int = Field(ge=1)
    latent: int = Field(ge=1)
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    peak_lr: float = Field(gt=0)
    augmentation: dict[str, Any]
    """Random changes of the real pictures while the generator learns, as `train.augmentation`."""
    seed: int


class AugmentReport(Report):
    """reports/augment.json."""

    headline: str
    samples_in: int
    samples_out: int
    by_class_in: dict[str, int]
    by_class_out: dict[str, int]
    loss: float | None
    """Negative evidence lower bound of the generator, nats per picture; null where none was needed."""


def run(params: Params, *, train: Path, out: Out, plots: Out, progress: Progress) -> AugmentReport:
    """Fit on the training split, draw what is missing; validation and test are never opened."""
    info = training_info(train)  # refuses any other split
    table = read_table(train)
    pictures, labels = inputs(table, info.record), table["label"].to_numpy()
    have = np.bincount(labels, minlength=len(info.classes))
    # A class without any record cannot be learnt, and gets none.
    wanted = np.where(have > 0, np.maximum(0, params.per_class - have), 0)
    made_labels, made, loss = np.repeat(np.arange(len(have)), wanted), np.empty((0, *pictures.shape[1:]), np.uint8), None
    if len(made_labels):
        made, loss = _generate(params, info, pictures, labels, made_labels, progress)
    with writer_like(out, train) as writer:
        if len(made):
            writer.write(_as_records(made, made_labels, like=table, seed=params.seed))
    plots.mkdir(parents=True)
    write_sheet(
        _rows(info, pictures, labels, made, made_labels),
        plots / "contact_sheet.png",
        title=f"Synthetic samples: {len(made):,} beside {len(pictures):,} real records",
        subtitle=f"Drawn by a conditional VAE that has seen the real ones only; seed {params.seed}",
    )
    return AugmentReport(
        headline=f"{len(made):,} synthetic samples beside {len(pictures):,} records",
        samples_in=len(pictures),
        samples_out=len(made),
        by_class_in=_named(info, have),
        by_class_out=_named(info, wanted),
        loss=None if loss is None else round(loss, 4),
    )


def _generate(
    params: Params, info: DatasetInfo, pictures: np.ndarray, labels: np.ndarray, wanted: np.ndarray, progress: Progress
) -> tuple[np.ndarray, float]:
    torch.set_num_threads(
        1
    )  # so small a network gains nothing from a second one, and its bits do not depend on the machine's cores
    torch.manual_seed(params.seed)  # first weights
    generator = torch.Generator().manual_seed(params.seed)
    model = ConditionalVae(pictures[0].size, len(info.classes), hidden=params.hidden, latent=params.latent)
    change, where = None, "augment.augmentation"
    if params.augmentation and (part := find_augmentation(info, wanted_by=where)):
        policy = parse_section(params.augmentation, where, part.BatchPolicy, where="params.yaml")
        change = part.in_batches(policy, info.record, where=where)
    progress.start("generator", params.steps, unit="steps")
    loss = fit(
        model,
        torch.tensor(pictures).permute(0, 3, 1, 2).float() / 255,
        torch.tensor(labels),
        steps=params.steps,
        batch_size=params.batch_size,
        peak_lr=params.peak_lr,
        generator=generator,
        change=change,
        each_step=progress.advance,
    )
    progress.finish()
    height, width, channels = pictures.shape[1:]
    drawn = draw(model, torch.tensor(wanted), generator=generator).reshape(-1, channels, height, width).permute(0, 2, 3, 1)
    return (drawn * 255).round().to(torch.uint8).contiguous().numpy(), loss


def _as_records(made: np.ndarray, labels: np.ndarray, *, like: pa.Table, seed: int) -> pa.Table:
    """Rows with the columns of real ones: what is measured is measured again, the rest says where they come from."""
    first = {label: row for row, label in reversed(list(enumerate(like["label"].to_pylist())))}
    rows = like.take(pa.array([first[label] for label in labels.tolist()]))
    flat = made.reshape(len(made), -1)
    new = {
        "id": pa.array([hashlib.sha256(picture.tobytes()).hexdigest()[:32] for picture in made]),
        "image": pa.FixedShapeTensorArray.from_numpy_ndarray(made),
        "split": pa.array(["train"] * len(made)),
        "source": pa.array(["synthetic"] * len(made)),
        "origin": pa.array([f"synthetic {number} of seed {seed}" for number in range(len(made))]),
        "mean": pa.array(flat.mean(axis=1)),
        "std": pa.array(flat.std(axis=1)),
    }
    for name, values in new.items():
        field = rows.schema.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, values.cast(field.type))
    return rows


def _rows(
    info: DatasetInfo, pictures: np.ndarray, labels: np.ndarray, made: np.ndarray, made_labels: np.ndarray
) -> list[SheetRow]:
    return [
        SheetRow(info.classes[label], pictures[labels == label][0], list(made[made_labels == label][:SHOWN]))
        for label in np.unique(labels)
    ]


def _named(info: DatasetInfo, counts: np.ndarray) -> dict[str, int]:
    return {name: int(count) for name, count in zip(info.classes, counts, strict=True)}
