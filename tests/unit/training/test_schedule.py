"""Learning rate as a function of the step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrace.training.schedule import ScheduleConfig, make_schedule


@given(
    name=st.sampled_from(["constant", "cosine", "linear"]),
    warmup=st.floats(0, 0.9),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
    steps=st.integers(1, 300),
)
def test_rate_stays_between_zero_and_the_peak(name, warmup, start, final, steps):
    """Whatever the fractions, no step is larger than the peak says."""
    config = ScheduleConfig(name=name, warmup_fraction=warmup, start_fraction=start, final_fraction=final)
    lr_at = make_schedule(config, steps, peak_lr=0.3)

    assert all(0 <= lr_at(step) <= 0.3 * (1 + 1e-12) for step in range(steps))


def test_cosine_equals_torch():
    """The maths is checked against torch's own schedule."""
    lr_at = make_schedule(ScheduleConfig(name="cosine", warmup_fraction=0), 50, peak_lr=0.2)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert lr_at(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        reference.step()


def test_one_cycle_goes_up_and_down():
    """The peak stands where the warm-up ends; the end is the fraction asked for."""
    config = ScheduleConfig(name="linear", warmup_fraction=0.25, start_fraction=0.1, final_fraction=0)
    lr_at = make_schedule(config, 100, peak_lr=1.0)

    assert [lr_at(0), lr_at(25)] == [pytest.approx(0.1), pytest.approx(1.0)]
    assert lr_at(99) == pytest.approx(1 / 75)
    assert max(range(100), key=lr_at) == 25
