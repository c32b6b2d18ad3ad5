"""Losses that wait on the device, and what progress and tracker are told."""

import math
from collections.abc import Mapping

import pytest
import torch

from headrace.errors import TrainingDiverged
from headrace.listening import SilentProgress, SilentTracker
from headrace.training.journal import Journal, Losses


def waiting(*steps: list[tuple[float, float]]) -> Losses:
    losses = Losses(lr_at=lambda step: 0.1 * step, last=9.0)
    for step in steps:
        for loss, share in step:
            losses.add(torch.tensor(loss), share)
        losses.close_step()
    return losses


def test_losses_are_read_once():
    """A loss counted twice would shift the mean of the epoch."""
    losses = waiting([(1.0, 1.0)], [(2.0, 1.0)])

    assert losses.read(2) == [1.0, 2.0]
    assert losses.read(2) == []
    assert losses.last == 2.0


def test_micro_batches_count_by_their_share():
    """The loss of a step is the mean over its samples, however it was cut."""
    assert waiting([(1.0, 0.25), (3.0, 0.75)]).read(1) == [2.5]


@pytest.mark.badinput
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_loss_that_is_not_finite_is_named(value):
    """Losses are looked at some steps later; the message must still name the step where it broke."""
    losses = waiting([(1.0, 1.0)], [(0.5, 1.0)], [(value, 1.0)], [(math.nan, 1.0)])

    with pytest.raises(TrainingDiverged, match=r"at step 13, learning rate 1\.2; the last finite loss was 0\.5"):
        losses.read(14)


def test_tracker_is_told_only_what_it_lacks():
    """Logging a step again after a resume doubles the point in the plot."""
    told: list[tuple[int, list[str]]] = []

    class Told(SilentTracker):
        def log(self, step: int, metrics: Mapping[str, float]) -> None:
            told.append((step, sorted(metrics)))

    journal = Journal(SilentProgress(), Told(), logged_until=4, batch_size=8, device=torch.device("cpu"))
    for step in (2, 4, 6):
        journal.steps(step, 2, loss=1.0, lr=0.1, norm=torch.tensor(1.0) if step == 6 else None)
    journal.epoch(6, {"epoch": 1, "train_loss": 0.5})

    assert told == [
        (6, ["train/grad_norm", "train/loss", "train/lr", "train/memory_mb", "train/samples_per_s"]),
        (6, ["epoch", "epoch/train_loss"]),
    ]


def test_bars_are_closed_as_often_as_opened():
    """An open bar would nest the next stage's below it."""
    depth: list[int] = []

    class Counting(SilentProgress):
        def start(self, label: str, total: int | None = None, *, unit: str = "") -> None:
            depth.append(1)

        def finish(self, note: str = "") -> None:
            depth.append(-1)

    journal = Journal(Counting(), SilentTracker(), logged_until=-1, batch_size=8, device=torch.device("cpu"))
    for epoch in (1, 2):
        journal.start_epoch(epoch, 3)
        journal.epoch(epoch * 3, {"epoch": epoch, "train_loss": 0.1})

    assert sum(depth) == 0
