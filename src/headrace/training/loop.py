"""The training loop: from a network and batches to trained weights, resumable to the last bit."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headrace.errors import EngineError, OutOfMemory, ParamsError, ResumeRefused
from headrace.listening import Progress, SilentProgress, SilentTracker, Tracker
from headrace.training.backbone import Backbone
from headrace.training.checkpoint import CheckpointFile, random_state, restore_random_state
from headrace.training.data import Batches, InOrder
from headrace.training.ema import Average
from headrace.training.journal import Journal, Losses
from headrace.training.losses import Loss
from headrace.training.optim import make_optimizer, set_lr
from headrace.training.options import FitConfig
from headrace.training.precision import Precision
from headrace.training.schedule import make_schedule

SAVE_EVERY_S = 10.0
"""Seconds of work that a kill may cost. By the clock, because when a checkpoint is written changes no result."""

LOGS_PER_EPOCH = 20


@dataclass
class State:
    """Where the loop stands; everything else follows from the step."""

    step: int = 0
    loss_sum: float = 0.0
    """Of the steps of the running epoch."""
    last_loss: float = math.nan
    history: list[dict[str, float]] = field(default_factory=list)
    """One row for each epoch."""
    best: float = -math.inf
    """Validation accuracy of the best epoch; where there is none, its validation loss with a minus."""
    best_epoch: int = 0
    stopped: bool = False

    def note(self, losses: list[float]) -> None:
        """Add the losses of some steps; one by one, so that the sum does not depend on when they were read."""
        for loss in losses:
            self.loss_sum += loss
            self.last_loss = loss

    def end_epoch(self, num_steps: int, measured: dict[str, float]) -> dict[str, float]:
        """Add a row to the history and note whether it is the best."""
        row = {"epoch": len(self.history) + 1, "train_loss": self.loss_sum / num_steps, **measured}
        self.loss_sum = 0.0
        self.history.append(row)
        merit = measured.get("validation_accuracy", -measured.get("validation_loss", math.inf))
        if merit > self.best:
            self.best, self.best_epoch = merit, len(self.history)
        return row


@dataclass(frozen=True)
class Fitted:
    """A finished training."""

    network: nn.Module
    """With the weights to keep, in evaluation mode."""
    steps: int
    best_epoch: int
    """Epoch (from 1) of the kept weights."""
    history: list[dict[str, float]]


def fit(
    config: FitConfig,
    network: nn.Module,
    train: Batches,
    loss_fn: Loss,
    *,
    validation: InOrder | None = None,
    backbone: Backbone | None = None,
    device: torch.device,
    checkpoint: CheckpointFile | None = None,
    save_every_s: float = SAVE_EVERY_S,
    progress: Progress | None = None,
    tracker: Tracker | None = None,
    logged_until: int = -1,
) -> Fitted:
    """Train `network`, from its checkpoint if there is one.

    Args:
        config: what may change the result.
        network: on the device, with its first weights.
        train: batches by step.
        loss_fn: scores and labels to a mean loss.
        validation: measured after every epoch.
        backbone: weights that were taken over and are treated otherwise.
        device: where network and batches are.
        checkpoint: where to go on from and to save to; None: neither.
        save_every_s: seconds between checkpoints.
        progress: shown to the person waiting.
        tracker: given loss, learning rate, gradient norm, speed and memory.
        logged_until: last step the tracker already has from an earlier, interrupted run.

    Raises:
        ParamsError: the network cannot be trained with these params.
        TrainingDiverged: the loss is no longer finite.
        OutOfMemory: a batch does not fit.
        ResumeRefused: the checkpoint belongs to another run or network.
    """
    progress = progress or SilentProgress()
    micro_batch = config.micro_batch or config.batch_size
    _check(config, network, measured=validation is not None)

    steps = config.epochs * train.per_epoch
    log_every = max(1, train.per_epoch // LOGS_PER_EPOCH)
    optimizer = make_optimizer(config.optimizer, network, backbone)
    lr_at = make_schedule(config.schedule, steps, peak_lr=config.optimizer.peak_lr)
    precision = Precision(config.precision, device)
    average = Average(network, config.ema_decay) if config.ema_decay else None
    measured = average.network if average else network  # whose weights are measured and kept
    forward = torch.compile(network) if config.compile else network
    run = Resumable(State(), network, optimizer, precision, average, device)
    if checkpoint and (saved := checkpoint.load()) is not None:
        run.restore(saved)
        progress.say(f"resumed after step {run.state.step} of {steps}")
    state = run.state
    losses = Losses(lr_at=lr_at, last=state.last_loss)
    journal = Journal(
        progress, tracker or SilentTracker(), logged_until=logged_until, batch_size=config.batch_size, device=device
    )
    last_save = time.monotonic()

    _to_train(network, backbone, len(state.history))
    progress.start("train", config.epochs, unit="epochs")
    progress.advance(len(state.history))
    if state.step % train.per_epoch:  # resumed in mid-epoch
        journal.start_epoch(len(state.history) + 1, train.per_epoch)
    with _readable_failures(config):
        while state.step < steps and not state.stopped:
            if state.step % train.per_epoch == 0:
                journal.start_epoch(len(state.history) + 1, train.per_epoch)
            log_now = (state.step + 1) % log_every == 0

            lr = lr_at(state.step)
            set_lr(optimizer, lr)
            x, y = train.at(state.step)  # (B, ...) as the network sees it, (B,) int64
            for micro_x, micro_y in zip(torch.split(x, micro_batch), torch.split(y, micro_batch), strict=True):
                with precision.autocast():
                    scores = forward(micro_x)
                loss = loss_fn(scores, micro_y, label_smoothing=config.label_smoothing)
                share = len(micro_y) / len(y)  # gradients of micro-batches add up
                precision.backward(loss * share if share < 1 else loss)
                losses.add(loss, share)
            norm = precision.step(optimizer, network, max_grad_norm=config.max_grad_norm, measure=log_now)
            losses.close_step()
            state.step += 1
            if average:
                average.update(state.step)

            if log_now:
                state.note(losses.read(state.step))  # host-device sync
                journal.steps(state.step, log_every, loss=state.last_loss, lr=lr, norm=norm)
            if state.step % train.per_epoch == 0:
                state.note(losses.read(state.step))
                row = state.end_epoch(train.per_epoch, evaluate(measured, validation, precision=precision, loss_fn=loss_fn))
                run.keep_best(measured, config.keep)
                state.stopped = 0 < config.patience <= len(state.history) - state.best_epoch
                _to_train(network, backbone, len(state.history))
                journal.epoch(state.step, row)
            if checkpoint and time.monotonic() - last_save >= save_every_s:
                state.note(losses.read(state.step))  # a state that has diverged is never saved
                checkpoint.save(run.snapshot())
                last_save = time.monotonic()
    progress.finish()

    if run.best:
        measured.load_state_dict(run.best)
    return Fitted(measured.eval(), state.step, state.best_epoch if run.best else len(state.history), state.history)


def _to_train(network: nn.Module, backbone: Backbone | None, epoch: int) -> None:
    network.train()
    if backbone:
        backbone.prepare(network, epoch)


def evaluate(network: nn.Module, data: InOrder | None, *, precision: Precision, loss_fn: Loss) -> dict[str, float]:
    """`validation_loss`, without smoothing, and of classes `validation_accuracy`; nothing without data."""
    if data is None:
        return {}
    network.eval()
    loss, right, counted = 0.0, 0, 0
    with torch.inference_mode(), precision.autocast():
        for x, y in data.parts():
            scores = network(x)
            classes = not y.is_floating_point()
            targets = int((y >= 0).sum()) if classes else len(y)
            loss += loss_fn(scores, y, label_smoothing=0.0).item() * targets
            right += int((scores.argmax(dim=-1) == y).sum()) if classes else 0
            counted += targets
    accuracy = {"validation_accuracy": right / counted} if classes else {}
    return {"validation_loss": loss / counted, **accuracy}


@dataclass
class Resumable:
    """Everything a checkpoint holds; batches are a function of the step and need no place in it."""

    state: State
    network: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    average: Average | None
    device: torch.device
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch so far, where those are to be kept."""

    def keep_best(self, measured: nn.Module, keep: str) -> None:
        """Copy the weights if the epoch that just ended is the best one and the best are wanted."""
        if keep == "best" and self.state.best_epoch == len(self.state.history):
            self.best = {name: value.clone() for name, value in measured.state_dict().items()}

    def snapshot(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "state": asdict(self.state),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state(),
            "average": self.average.network.state_dict() if self.average else {},
            "best": self.best,
            "random": random_state(self.device),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Put everything back where it stood."""
        _refuse_other_network(saved["network"], self.network.state_dict())
        self.state = State(**saved["state"])
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.precision.restore(saved["precision"])
        if self.average:
            self.average.network.load_state_dict(saved["average"])
        self.best = saved["best"]
        restore_random_state(saved["random"], self.device)


def _refuse_other_network(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    differing = [
        name
        for name in sorted(found.keys() | expected.keys())
        if name not in found or name not in expected or found[name].shape != expected[name].shape
    ]
    if differing:
        raise ResumeRefused(
            f"the checkpoint holds another network: {len(differing)} weights differ in name or shape, such as '{differing[0]}'. "
            "Delete the run's scratch folder to start afresh."
        )


def _check(config: FitConfig, network: nn.Module, *, measured: bool) -> None:
    micro_batch = config.micro_batch or config.batch_size
    if micro_batch == 1 and any(isinstance(m, _BatchNorm) for m in network.modules()):
        raise ParamsError(
            "train.batch_size (or train.micro_batch) is 1, but the network has batch norm, which has no variance over one "
            "sample. Set it to 2 or more."
        )
    if not measured and (config.keep == "best" or config.patience):
        raise ParamsError("train.keep 'best' and train.patience need a validation split; train.refit or an empty split takes it.")


@contextmanager
def _readable_failures(config: FitConfig) -> Iterator[None]:
    """Turn a lack of memory or of a compiler into a message that names the remedy."""
    size = config.micro_batch or config.batch_size
    half = next((n for n in range(size // 2, 0, -1) if config.batch_size % n == 0), 1)
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            if "Compiler" in type(error).__name__ or "compiler" in text:
                raise EngineError(f"torch.compile failed: {text.splitlines()[0]}. Set train.compile to false.") from error
            if "can't allocate memory" not in text and "not enough memory" not in text:
                raise
        raise OutOfMemory(
            f"out of memory with {size} samples at once. Set train.micro_batch to {half}: the optimizer still steps on "
            f"{config.batch_size} samples."
        ) from error
