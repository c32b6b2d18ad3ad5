"""Data and comparisons shared by the tests of training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.unit.training.tiny_training import write_squares


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """data/splits of coloured squares, with an empty data/augmented beside it."""
    for seed, (name, count) in enumerate({"train": 96, "validation": 24, "test": 30}.items()):
        write_squares(tmp_path / "splits" / name, count, seed=seed)
    write_squares(tmp_path / "augmented", 0)
    return tmp_path / "splits"


@pytest.fixture
def weights_equal() -> Callable[[torch.nn.Module, torch.nn.Module], bool]:
    """Whether two networks hold the same bits."""

    def compare(one: torch.nn.Module, other: torch.nn.Module) -> bool:
        left, right = one.state_dict(), other.state_dict()
        return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)

    return compare
