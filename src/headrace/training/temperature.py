"""One number that makes a classifier as sure as it is right."""

import math

import numpy as np

from headrace.errors import DataError

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
