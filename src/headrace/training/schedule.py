"""Learning rate as a function of the step."""

import math
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from headrace.params import Section


class ScheduleConfig(Section):
    """How the learning rate moves over one training."""

    name: Literal["constant", "cosine", "linear"] = "cosine"
    """Shape of the way down from the peak; constant stays there."""
    warmup_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of all steps on the way up to the peak; with a cosine or a line down this is a one-cycle schedule."""
    start_fraction: float = Field(default=0.04, ge=0, le=1)
    """Rate at the first step, as a fraction of the peak."""
    final_fraction: float = Field(default=0.0, ge=0, le=1)
    """Rate after the last step, as a fraction of the peak."""


def make_schedule(config: ScheduleConfig, steps: int, *, peak_lr: float) -> Callable[[int], float]:
    """The learning rate of each step in [0, steps)."""
    warmup = round(config.warmup_fraction * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return config.start_fraction + (1 - config.start_fraction) * step / warmup
        if config.name == "constant":
            return 1.0
        done = (step - warmup) / max(1, steps - warmup)
        left = (1 + math.cos(math.pi * done)) / 2 if config.name == "cosine" else 1 - done
        return config.final_fraction + (1 - config.final_fraction) * left

    return lambda step: peak_lr * factor(step)
