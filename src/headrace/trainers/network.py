"""Train the network that `train.network` names with our loop, resumable to the last bit."""

from headrace.augmentation.contract import batch_augmentation
from headrace.dataset.schema import read_info
from headrace.params import Report
from headrace.plugins import resolve
from headrace.storage.local import write_json
from headrace.training.backbone import Backbone
from headrace.training.candidate import write_candidate
from headrace.training.checkpoint import CheckpointFile
from headrace.training.device import as_numpy, machine_class, pick_device
from headrace.training.history import write_history
from headrace.training.importance import measure_importance
from headrace.training.initial import Initial, TakenOver, read_initial
from headrace.training.job import Job
from headrace.training.loop import fit
from headrace.training.options import BackboneConfig, TrainConfig
from headrace.training.predict import predict_splits
from headrace.training.session import open_session


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
    """Of the kept weights as the loop measures them, without averaging over views; null after a refit, and of numbers."""
    encoding: dict[str, float] | None = None
    """What became of the training records as they were turned into numbers, such as the share cut off; null where they are numbers."""
    temperature: float | None
    """What the scores are divided by before the softmax; null when it was not asked for."""


class TransferReport(TrainReport):
    """The same, of a training that started from other weights."""

    initial: TakenOver


def train(params: TrainConfig, job: Job) -> TrainReport:
    """Train on splits/train and `augmented`; measure on splits/validation; predict validation and test."""
    return train_from(params, job, read_initial(job.initial, params.init_from))


def train_from(params: TrainConfig, job: Job, initial: Initial | None) -> TrainReport:
    """The same, from weights that were read."""
    info = read_info(job.splits / "train")
    task = resolve("tasks", info.task, None, where="collect.task")
    where = pick_device(job.device, job.progress, threads=params.threads)
    session = open_session(
        params,
        [job.splits / "train", job.augmented, *([job.splits / "validation"] if params.refit else [])],
        None if params.refit else job.splits / "validation",
        task,
        seed=params.seed,
        network=(params.network, params.network_options),
        loss=params.loss,
        prediction=params.prediction,
        encoding=params.encoding,
        augment=batch_augmentation(info, params.augmentation),
        device=where,
        scratch=job.scratch,
        calibrate=params.calibrate,
        initial=initial,
    )
    backbone, taken = None, session.taken
    if taken is not None:
        job.progress.say(
            f"{taken.share:.0%} of the weights are those of {taken.init_from}; new: {', '.join(taken.fresh) or 'none'}"
        )
        if initial is not None and initial.info is not None and session.encoded is not None and params.encoding:
            job.progress.say(f"records are encoded as {taken.init_from} encodes them; train.encoding is not read")
        frozen_epochs, lr_factor = params.backbone.frozen_epochs, params.backbone.lr_factor
        backbone = Backbone.of(session.network, session.backbone, frozen_epochs=frozen_epochs, lr_factor=lr_factor)
    elif params.backbone != BackboneConfig():
        job.progress.say("train.backbone says nothing here: train.init_from names no weights")
    checkpoint = CheckpointFile(job.scratch, fingerprint=job.fingerprint, machine=machine_class(where), progress=job.progress)
    fitted = fit(
        params,
        session.network,
        session.train,
        session.loss,
        validation=session.validation,
        backbone=backbone,
        device=where,
        checkpoint=checkpoint,
        progress=job.progress,
        tracker=job.tracker,
        logged_until=job.tracker.begin(job.fingerprint, params.model_dump(mode="json")),
    )
    if params.calibrate and session.validation is not None:  # open_session has refused it otherwise
        session = session.calibrated(fitted.network, session.validation)
    kept = fitted.history[fitted.best_epoch - 1]
    accuracy = kept.get("validation_accuracy")
    told = f"loss {fitted.history[-1]['train_loss']:.4f}"
    if "validation_loss" in kept:
        # The share of characters that are guessed right says little of a text.
        measure = "accuracy" if accuracy is not None and info.classes else "loss"
        told = f"validation {measure} {kept[f'validation_{measure}']:.4f}"
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
    if taken is not None:
        report = TransferReport(**dict(report), initial=taken)
    answers, importance = as_numpy(session.around(fitted.network), where), {}
    if not params.refit:
        importance = measure_importance(answers, task, job.splits / "validation", session.description, seed=params.seed)
    write_candidate(
        job.model,
        fitted.network,
        data=info,
        name=params.network,
        options=params.network_options,
        program=session.program_name,
        description=session.description,
        seed=params.seed,
        fingerprint=job.fingerprint,
        training=report.model_dump(mode="json", exclude={"headline", "parameters"}) | importance,
    )
    measured = ["test"] if params.refit else ["validation", "test"]
    predict_splits(
        answers,
        {name: job.splits / name for name in measured},
        job.predictions,
        task,
        description=session.description,
    )
    write_history(job.plots / "history.csv", fitted.history)
    if samples := session.written_by(fitted.network, job.splits / "train"):
        write_json(job.plots / "samples.json", {"samples": samples})
    checkpoint.discard()
    session.close()
    return report
