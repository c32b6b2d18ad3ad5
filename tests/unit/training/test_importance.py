"""What a model relies on."""

import numpy as np

from headrace.training.importance import permuted


def leaning_on_the_first(rows: np.ndarray) -> np.ndarray:
    """Class 1 where the first number is positive."""
    sure = np.where(rows[:, 0] > 0, 0.9, 0.1)
    return np.stack([1 - sure, sure], axis=1)


def test_only_what_the_model_looks_at_matters():
    """Shuffling another column changes nothing at all."""
    random = np.random.default_rng(0)
    encoded = random.normal(size=(500, 3)).astype(np.float32)

    first, *others = permuted(
        leaning_on_the_first, encoded, (encoded[:, 0] > 0).astype(int), {"idle": [1], "told": [0], "pair": [1, 2]}, seed=1
    )

    assert first["column"] == "told"
    assert first["accuracy_lost"] > 0.4
    assert [row["loss_increase"] for row in others] == [0, 0]


def test_other_columns_do_not_change_the_shuffles_of_one():
    """Two models of different columns can be compared."""
    random = np.random.default_rng(0)
    encoded = random.normal(size=(200, 3)).astype(np.float32)
    labels = (encoded[:, 0] > 0).astype(int)

    both = permuted(leaning_on_the_first, encoded, labels, {"told": [0], "idle": [1]}, seed=1)
    alone = permuted(leaning_on_the_first, encoded, labels, {"told": [0]}, seed=1)

    assert both[0] == alone[0]
