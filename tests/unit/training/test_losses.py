"""Losses by name."""

import pytest
import torch

from headrace.errors import ParamsError
from headrace.training.losses import cross_entropy, find_loss


def test_cross_entropy_is_computed_in_float32():
    """In bfloat16 the sum over classes loses most of its digits."""
    scores = torch.randn(5, 4, dtype=torch.bfloat16)
    loss = cross_entropy(scores, torch.tensor([0, 1, 2, 3, 0]), label_smoothing=0.1)

    assert loss.dtype == torch.float32


def test_own_loss_by_module_and_function():
    """Nobody edits our tree to use another loss."""
    assert find_loss("torch.nn.functional:mse_loss") is torch.nn.functional.mse_loss


@pytest.mark.badinput
def test_unknown_loss_names_the_nearest():
    """A slip of the pen is answered with the right name."""
    with pytest.raises(ParamsError, match=r"train\.loss is 'cros_entropy'.*'cross_entropy'"):
        find_loss("cros_entropy")
