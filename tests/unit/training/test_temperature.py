"""Temperature: scores become as sure as they are right."""

import numpy as np
import pytest
import torch

from headrace.errors import DataError
from headrace.training.temperature import LARGEST, SMALLEST, fit_temperature


def drawn(temperature: float, *, records: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are too sure by a known factor: labels are drawn from the softmax of scores / temperature."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(records, 5, generator=generator) * 3
    labels = torch.multinomial(torch.softmax(scores / temperature, dim=1), 1, generator=generator)[:, 0]
    return scores.numpy(), labels.numpy()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_factor_by_which_scores_are_too_sure_is_found(temperature: float) -> None:
    """Within the noise of 4,000 drawn labels."""
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.06)


def test_it_is_where_the_likelihood_is_greatest() -> None:
    """One hundredth to either side is less likely: the definition, not the method."""
    scores, labels = drawn(1.7)
    found = fit_temperature(scores, labels)

    def loss(t: float) -> float:
        return torch.nn.functional.cross_entropy(torch.tensor(scores).double() / t, torch.tensor(labels)).item()

    assert loss(found) < min(loss(found * 1.01), loss(found / 1.01))


def test_records_that_are_all_right_do_not_make_it_infinitely_sure() -> None:
    """A small validation split without a mistake asks for temperature 0."""
    scores = np.eye(4) * 2
    assert fit_temperature(scores, np.arange(4)) == SMALLEST
    assert fit_temperature(scores, np.array([1, 2, 3, 0])) == LARGEST


@pytest.mark.badinput
def test_scores_that_are_no_numbers_are_refused() -> None:
    """NaN would make every comparison false and return an end of the range in silence."""
    with pytest.raises(DataError, match="finite scores"):
        fit_temperature(np.array([[float("nan"), 1.0]]), np.array([0]))
