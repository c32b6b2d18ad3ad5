"""What the loop notes while it runs: losses without waiting for the device, and lines for the person and the tracker."""

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from headrace.errors import TrainingDiverged
from headrace.listening import Progress, Tracker


class Losses:
    """Losses of the last steps, kept on the device so that no step waits for them, and checked when they are read.

    Args:
        lr_at: learning rate of a step, for the message.
        last: the last finite loss of an interrupted training.
    """

    def __init__(self, *, lr_at: Callable[[int], float], last: float = math.nan) -> None:
        self._waiting: list[list[tuple[Tensor, float]]] = [[]]
        self._lr_at = lr_at
        self.last = last
        """The last finite loss."""

    def add(self, loss: Tensor, share: float) -> None:
        """Count one micro-batch's loss with its share of the step's samples."""
        self._waiting[-1].append((loss.detach(), share))

    def close_step(self) -> None:
        """The step's loss is complete."""
        self._waiting.append([])

    def read(self, step: int) -> list[float]:
        """Losses since the last reading, one for each step, the newest after `step` steps; a host-device sync.

        Raises:
            TrainingDiverged: one of them is not finite.
        """
        parts = [part for waiting in self._waiting for part in waiting]
        found = iter(torch.stack([loss for loss, _ in parts]).tolist() if parts else [])
        values = [sum(next(found) * share for _, share in waiting) for waiting in self._waiting[:-1]]
        self._waiting = [[]]
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                at = step - len(values) + offset
                raise TrainingDiverged(
                    f"the loss became {value} at step {at + 1}, learning rate {self._lr_at(at):.3g}; the last finite loss was "
                    f"{self.last:.4g}. Lower train.optimizer.peak_lr, set train.max_grad_norm, or look for NaN in the data."
                )
            self.last = value
        return values


class Journal:
    """Tells progress and tracker; nothing here changes a result.

    Args:
        progress: shown to the person waiting.
        tracker: given the metrics.
        logged_until: last step the tracker already has from an earlier, interrupted run.
        batch_size: samples of a step.
        device: whose memory is measured.
    """

    def __init__(self, progress: Progress, tracker: Tracker, *, logged_until: int, batch_size: int, device: torch.device) -> None:
        self._progress, self._tracker, self._logged_until = progress, tracker, logged_until
        self._batch_size, self._device = batch_size, device
        self._step, self._time = -1, time.perf_counter()

    def start_epoch(self, epoch: int, num_batches: int) -> None:
        """An epoch begins, or goes on after a resume."""
        self._progress.start(f"epoch {epoch}", num_batches, unit="batches")

    def steps(self, step: int, count: int, *, loss: float, lr: float, norm: Tensor | None) -> None:
        """`count` more steps are done, `step` in all."""
        now = time.perf_counter()
        metrics = {"train/loss": loss, "train/lr": lr, "train/memory_mb": _peak_memory_mb(self._device)}
        if norm is not None:
            metrics["train/grad_norm"] = norm.item()  # host-device sync
        if self._step >= 0:
            metrics["train/samples_per_s"] = (step - self._step) * self._batch_size / (now - self._time)
        self._step, self._time = step, now
        self._log(step, metrics)
        self._progress.advance(count, note=f"loss {loss:.4f}")

    def epoch(self, step: int, row: Mapping[str, float]) -> None:
        """An epoch is done."""
        self._log(step, {name if name == "epoch" else f"epoch/{name}": value for name, value in row.items()})
        self._progress.finish(" ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch"))
        self._progress.advance(1)

    def _log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step > self._logged_until:
            self._tracker.log(step, metrics)


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is bytes there, kilobytes here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
