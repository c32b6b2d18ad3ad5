"""The training loop: resuming, accumulation, what it refuses, what it must not let listeners change."""

import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tests.unit.training.tiny_training import CPU, make_batches, make_validation
from torch import nn

from headrace.errors import OutOfMemory, ParamsError, ResumeRefused, TrainingDiverged
from headrace.listening import SilentProgress, SilentTracker
from headrace.settings import THREAD_VARIABLES
from headrace.training.checkpoint import CheckpointFile
from headrace.training.loop import FitConfig, Fitted, fit
from headrace.training.losses import cross_entropy
from headrace.training.optim import OptimizerConfig


def network(*, width: int = 6) -> nn.Module:
    """Batch norm and dropout: both have state that a careless resume forgets."""
    torch.manual_seed(5)
    body = [nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)]
    return nn.Sequential(*body, nn.Linear(36 * width, 3))


def config(**changes: object) -> FitConfig:
    return FitConfig.model_validate({"epochs": 4, "batch_size": 8, "ema_decay": 0.9} | changes)


def checkpoint(folder: Path, fingerprint: str = "f" * 64) -> CheckpointFile:
    return CheckpointFile(folder, fingerprint=fingerprint, machine="a class", progress=SilentProgress())


def train(settings: FitConfig, **options: object) -> Fitted:
    return fit(settings, network(), make_batches(), cross_entropy, device=CPU, **({"validation": make_validation()} | options))


class KilledError(Exception):
    """Stands for the end of the process."""


class StopAt(SilentTracker):
    """Ends the training at a step, as a kill would; the loop logs every step of these tiny epochs."""

    def __init__(self, step: int) -> None:
        self.step = step

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == self.step:
            raise KilledError


@pytest.mark.parametrize("step", [1, 6, 9, 23])
@pytest.mark.parametrize("extra", [{}, {"keep": "best"}, {"optimizer": {"name": "sgd", "peak_lr": 0.1}}, {"micro_batch": 4}])
def test_resumed_training_equals_uninterrupted_one(tmp_path, weights_equal, step, extra):
    """Being interrupted in mid-epoch must not be visible in the weights or in the history."""
    whole = train(config(**extra))
    with pytest.raises(KilledError):
        train(config(**extra), checkpoint=checkpoint(tmp_path), save_every_s=0, tracker=StopAt(step))
    resumed = train(config(**extra), checkpoint=checkpoint(tmp_path), save_every_s=0)

    assert weights_equal(whole.network, resumed.network)
    assert whole.history == resumed.history
    assert whole.best_epoch == resumed.best_epoch


KILLED_SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.training.test_loop import StopAt, checkpoint, config, train

class KillAt(StopAt):
    def log(self, step, metrics):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

train(config(), checkpoint=checkpoint(Path({folder!r})), save_every_s=0, tracker=KillAt(9))
"""


@pytest.mark.fault
def test_training_killed_in_mid_epoch_resumes_to_the_same_bits(tmp_path, weights_equal):
    """SIGKILL gives no chance to tidy up: the checkpoint on disk has to be enough."""
    script = KILLED_SCRIPT.format(root=str(Path(__file__).parents[3]), folder=str(tmp_path))
    # Bits agree at one thread count only.
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(torch.get_num_threads()))
    killed = subprocess.run([sys.executable, "-c", script], timeout=120, check=False, env=environment)
    lines: list[str] = []

    class Said(SilentProgress):
        def say(self, line: str) -> None:
            lines.append(line)

    resumed = train(config(), checkpoint=checkpoint(tmp_path), progress=Said())

    assert killed.returncode == -9
    assert lines == ["resumed after step 8 of 24"]
    assert weights_equal(train(config()).network, resumed.network)


def test_listeners_change_nothing(weights_equal):
    """No output may depend on whether somebody watched."""

    class Watching(SilentTracker):
        def __init__(self) -> None:
            self.steps: list[int] = []

        def log(self, step: int, metrics: Mapping[str, float]) -> None:
            assert all(math.isfinite(value) for value in metrics.values())
            torch.rand(3, generator=torch.Generator().manual_seed(step))
            self.steps.append(step)

    watching = Watching()
    watched = train(config(), tracker=watching, logged_until=6)

    assert weights_equal(train(config()).network, watched.network)
    assert set(watching.steps) == set(range(7, 25))  # what the tracker had already is not logged twice


def test_micro_batches_make_the_same_step():
    """The global batch is the parameter; how it is cut is the machine's business (up to rounding, without batch norm)."""

    def plain() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    whole = fit(config(), plain(), make_batches(), cross_entropy, device=CPU)
    cut = fit(config(micro_batch=2), plain(), make_batches(), cross_entropy, device=CPU)

    torch.testing.assert_close(whole.network.state_dict(), cut.network.state_dict(), rtol=1e-4, atol=1e-6)
    assert whole.history[-1]["train_loss"] == pytest.approx(cut.history[-1]["train_loss"], rel=1e-4)


def test_it_learns():
    """Squares on the left and right are easy: a loop that cannot tell them apart is broken."""
    assert train(config(epochs=15, ema_decay=0)).history[-1]["validation_accuracy"] >= 0.9


def test_the_seed_decides(weights_equal):
    """Another order of the data must give other weights."""
    other = fit(config(), network(), make_batches(seed=4), cross_entropy, validation=make_validation(), device=CPU)

    assert not weights_equal(train(config()).network, other.network)


def test_early_stop_ends_the_training():
    """With a learning rate of nearly nothing the accuracy never rises, and waiting longer is a waste."""
    stopped = train(config(epochs=30, patience=2, optimizer=OptimizerConfig(peak_lr=1e-12), ema_decay=0))
    accuracies = [row["validation_accuracy"] for row in stopped.history]

    assert len(accuracies) < 30
    assert len(accuracies) - accuracies.index(max(accuracies)) == 3  # the best epoch and two more


def test_best_weights_are_those_of_the_best_epoch():
    """`keep: best` must hand over the weights that were measured best, not the last ones."""
    fitted = train(config(epochs=6, keep="best"))
    best = max(fitted.history, key=lambda row: row["validation_accuracy"])

    assert fitted.best_epoch == best["epoch"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_every_mode_is_alive(precision, channels_last):
    """Each number format and layout trains to a finite loss."""
    fitted = train(config(precision=precision, channels_last=channels_last, max_grad_norm=1.0, label_smoothing=0.1))

    assert math.isfinite(fitted.history[-1]["train_loss"])


@pytest.mark.badinput
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_divergence_names_step_rate_and_last_finite_loss(value):
    """The reader must see where it broke and what to change."""
    calls = iter(range(1000))

    def breaks(scores, labels, *, label_smoothing):
        loss = cross_entropy(scores, labels, label_smoothing=label_smoothing)
        return loss * value if next(calls) == 3 else loss

    with pytest.raises(TrainingDiverged, match=r"at step 4, learning rate .*last finite loss was \d.*peak_lr"):
        fit(config(), network(), make_batches(), breaks, device=CPU)


@pytest.mark.badinput
def test_a_diverged_state_is_never_saved(tmp_path):
    """A checkpoint with NaN would make every later resume fail."""

    def broken(scores, labels, *, label_smoothing):
        return scores.sum() * math.nan

    with pytest.raises(TrainingDiverged):
        fit(config(), network(), make_batches(), broken, device=CPU, checkpoint=checkpoint(tmp_path), save_every_s=0)

    assert checkpoint(tmp_path).load() is None


@pytest.mark.fault
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
)
def test_lack_of_memory_names_the_remedy(error):
    """Out of memory is cured by a smaller micro-batch, which keeps the result."""

    class Hungry(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 2))

        def forward(self, x):
            raise error

    with pytest.raises(OutOfMemory, match=r"8 samples at once\. Set train\.micro_batch to 4"):
        fit(config(), Hungry(), make_batches(), cross_entropy, device=CPU)


@pytest.mark.badinput
def test_batch_norm_with_a_batch_of_one_is_refused():
    """Torch would say 'Expected more than 1 value per channel'; the reader needs the param's name."""
    with pytest.raises(ParamsError, match=r"train\.batch_size .* is 1, but the network has batch norm"):
        fit(config(batch_size=1), network(), make_batches(batch_size=1), cross_entropy, device=CPU)


@pytest.mark.badinput
@pytest.mark.parametrize("settings", [{"keep": "best"}, {"patience": 3}])
def test_selection_without_validation_is_refused(settings):
    """Choosing the best of nothing would silently choose the first."""
    with pytest.raises(ParamsError, match="need a validation split"):
        train(config(**settings), validation=None)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": {"peak_lr": 0}}, "greater than 0"),
        ({"optimizer": {"peak_lr": 1e9}}, "less than or equal to 100"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"batch_size": 8, "micro_batch": 3}, "does not divide"),
        ({"leraning_rate": 1}, "Extra inputs"),
        ({"precision": "fp8"}, "fp32"),
    ],
)
def test_params_that_cannot_work_are_refused(changes, message):
    """A wrong number is found before the data are read."""
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.mark.badinput
def test_checkpoint_of_another_architecture_is_refused(tmp_path):
    """Same fingerprint but other shapes: the user's own network changed without its name."""
    with pytest.raises(KilledError):
        train(config(), checkpoint=checkpoint(tmp_path), save_every_s=0, tracker=StopAt(3))
    with pytest.raises(ResumeRefused, match="another network"):
        fit(config(), network(width=7), make_batches(), cross_entropy, device=CPU, checkpoint=checkpoint(tmp_path))
