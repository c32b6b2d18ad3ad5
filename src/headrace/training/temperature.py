"""One number that makes a classifier as sure as it is right."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.errors import DataError, ParamsError

NEVER = -1e4
"""Score of a class without a training record: its probability is 0."""

SMALLEST, LARGEST = 0.1, 10.0
"""Where every record is right, the likelihood asks for no doubt at all: it is not followed that far."""

HALVINGS = 50


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide the scores by, so that their softmax has the greatest likelihood on these records.

    The order of the classes stays, and with it the accuracy.

    Args:
        scores: (N, K), of records that were not trained on.
        labels: (N,) int64 in [0, K).

    Returns:
        A temperature in [0.1, 10], rounded to four digits; above 1 the scores were too sure.

    Raises:
        DataError: no records, or a score is not finite.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    if len(labels) == 0 or not np.isfinite(scores).all():
        raise DataError(f"a temperature needs finite scores of at least one record, got {len(labels)} records.")
    values = np.asarray(scores, np.float64)
    right = values[np.arange(len(labels)), labels].mean()
    low, high = math.log(SMALLEST), math.log(LARGEST)
    for _ in range(HALVINGS):  # the likelihood has one maximum: its slope changes sign once
        middle = (low + high) / 2
        expected = (softmax(values / math.exp(middle)) * values).sum(axis=1).mean()
        if expected > right:  # surer than right
            low = middle
        else:
            high = middle
    return round(math.exp((low + high) / 2), 4)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) of scores (N, K)."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return shares


def scores_of_all(found: np.ndarray, present: np.ndarray, classes: int) -> np.ndarray:
    """Scores (N, classes) from what a classifier decides between the classes `present`: (N,) between two, else (N, len(present))."""
    everything = np.full((len(found), classes), NEVER)
    everything[:, present] = found if found.ndim == 2 else np.stack([np.zeros_like(found), found], axis=1)
    return everything


def measure_temperature(
    scores: Callable[[Any], np.ndarray], held_out: tuple[Any, np.ndarray] | None, present: np.ndarray
) -> float:
    """The temperature of a fitted classifier on the validation split.

    Args:
        scores: from records to scores (N, K).
        held_out: records of the validation split and their labels.
        present: classes that it was fitted on.

    Raises:
        ParamsError: there is no validation split.
    """
    if held_out is None:
        raise ParamsError(
            "how sure this model is gets measured on the validation split, and there is none. Set train.refit to false and "
            "split.validation above 0."
        )
    x, y = held_out
    known = np.isin(y, present)  # of a class that was never seen no temperature makes a probability
    return fit_temperature(scores(x)[known], y[known])
