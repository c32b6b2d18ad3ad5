"""Train the candidate, resumable, and write its model folder, its predictions and the course of the training.

Run by the DAG: python -m headrace.stages train --splits data/splits --augmented data/augmented --model models/candidate
    --predictions reports/predictions.parquet --plots reports/plots/train
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from headrace.augmentation.contract import batch_augmentation
from headrace.dataset.schema import read_info
from headrace.listening import Progress, Tracker
from headrace.params import Out, Report
from headrace.plugins import resolve
from headrace.storage.local import write_json
from headrace.training.candidate import write_candidate
from headrace.training.checkpoint import CheckpointFile
from headrace.training.device import machine_class, pick_device
from headrace.training.history import write_history
from headrace.training.loop import FitConfig, fit
from headrace.training.predict import predict_splits
from headrace.training.session import open_session


class Params(FitConfig):
    """Section `train` of params.yaml."""

    seed: int = Field(default=17, ge=0)
    """Decides first weights, order, augmentation and dropout."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of one operation. A small network gains nothing from a second one, and with one its weights are the same bits on
    machines of any size; null: the machine's setting, all its cores."""
    network: str = "small_cnn"
    """Module of headrace/networks, or `module:function` of your own."""
    network_options: dict[str, Any] = Field(default={})
    """Options of that network."""
    loss: str | None = None
    """A loss of headrace/training/losses.py or `module:function`; null: the task's own."""
    encoding: dict[str, Any] = Field(default={})
    """How records become numbers, where the task learns that from the training split; texts: `max_tokens`, `vocabulary` and so on."""
    augmentation: dict[str, Any] = Field(default={})
    """Random changes to every batch, made on the device, as headrace/augmentation/<task>.py types them."""
    prediction: dict[str, Any] = Field(default={})
    """How the program around the network answers; images: `flip` and `shift`."""
    calibrate: bool = False
    """Measure on the validation split the temperature that makes the probabilities mean what they say; accuracy stays."""
    refit: bool = False
    """Train on the validation split too; nothing is selected by it then, and no prediction for it is written."""


class TrainReport(Report):
    """What reports/train.json says."""

    headline: str
    """For the terminal."""
    samples: int
    """Records trained on, with augmented copies."""
    parameters: int
    epochs: int
    steps: int
    best_epoch: int
    """Epoch of the kept weights, from 1."""
    train_loss: float
    """Mean over the last epoch."""
    validation_loss: float | None
    validation_accuracy: float | None
    """Of the kept weights as the loop measures them, without averaging over views; null after a refit."""
    encoding: dict[str, float] | None = None
    """What became of the training records as they were turned into numbers, such as the share cut off; null where they are numbers."""
    temperature: float | None
    """What the scores are divided by before the softmax; null when it was not asked for."""


def run(
    params: Params,
    *,
    splits: Path,
    augmented: Path,
    model: Out,
    predictions: Out,
    plots: Out,
    fingerprint: str,
    scratch: Path,
    device: str,
    progress: Progress,
    tracker: Tracker,
) -> TrainReport:
    """Train on splits/train and `augmented`; measure on splits/validation; predict validation and test."""
    info = read_info(splits / "train")
    task = resolve("tasks", info.task, None, where="collect.task")
    where = pick_device(device, progress, threads=params.threads)
    session = open_session(
        params,
        [splits / "train", augmented, *([splits / "validation"] if params.refit else [])],
        None if params.refit else splits / "validation",
        task,
        seed=params.seed,
        network=(params.network, params.network_options),
        loss=params.loss,
        prediction=params.prediction,
        encoding=params.encoding,
        augment=batch_augmentation(info, params.augmentation),
        device=where,
        scratch=scratch,
        calibrate=params.calibrate,
    )
    checkpoint = CheckpointFile(scratch, fingerprint=fingerprint, machine=machine_class(where), progress=progress)
    fitted = fit(
        params,
        session.network,
        session.train,
        session.loss,
        validation=session.validation,
        device=where,
        checkpoint=checkpoint,
        progress=progress,
        tracker=tracker,
        logged_until=tracker.begin(fingerprint, params.model_dump(mode="json")),
    )
    if params.calibrate and session.validation is not None:  # open_session has refused it otherwise
        session = session.calibrated(fitted.network, session.validation)
    kept = fitted.history[fitted.best_epoch - 1]
    accuracy = kept.get("validation_accuracy")
    told = f"validation accuracy {accuracy:.4f}" if accuracy is not None else f"loss {fitted.history[-1]['train_loss']:.4f}"
    report = TrainReport(
        headline=f"{told}, epoch {fitted.best_epoch} of {len(fitted.history)}",
        samples=session.samples,
        parameters=sum(p.numel() for p in fitted.network.parameters()),
        epochs=len(fitted.history),
        steps=fitted.steps,
        best_epoch=fitted.best_epoch,
        train_loss=fitted.history[-1]["train_loss"],
        validation_loss=kept.get("validation_loss"),
        validation_accuracy=accuracy,
        encoding=session.encoded,
        temperature=session.description.get("temperature"),
    )
    write_candidate(
        model,
        fitted.network,
        data=info,
        name=params.network,
        options=params.network_options,
        program=session.program_name,
        description=session.description,
        seed=params.seed,
        fingerprint=fingerprint,
        training=report.model_dump(mode="json", exclude={"headline", "parameters"}),
    )
    measured = ["test"] if params.refit else ["validation", "test"]
    predict_splits(
        session.around(fitted.network),
        {name: splits / name for name in measured},
        predictions,
        task,
        device=where,
        description=session.description,
    )
    write_history(plots / "history.csv", fitted.history)
    if samples := session.written_by(fitted.network, splits / "train"):
        write_json(plots / "samples.json", {"samples": samples})
    checkpoint.discard()
    session.close()
    return report
