"""One number that makes a classifier as sure as it is right."""

import math

import torch
from torch import Tensor, nn

from headrace.errors import DataError
from headrace.training.data import InOrder

SMALLEST, LARGEST = 0.1, 10.0
"""Where every record is right, the likelihood asks for no doubt at all: it is not followed that far."""

HALVINGS = 50


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
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
    if len(labels) == 0 or not bool(torch.isfinite(scores).all()):
        raise DataError(f"a temperature needs finite scores of at least one record, got {len(labels)} records.")
    values = scores.to("cpu", torch.float64)
    right = values.gather(1, labels.to("cpu")[:, None])[:, 0].mean()
    low, high = math.log(SMALLEST), math.log(LARGEST)
    for _ in range(HALVINGS):  # the likelihood has one maximum: its slope changes sign once
        middle = (low + high) / 2
        expected = (torch.softmax(values / math.exp(middle), dim=1) * values).sum(dim=1).mean()
        if expected > right:  # surer than right
            low = middle
        else:
            high = middle
    return round(math.exp((low + high) / 2), 4)


def measure_temperature(program: nn.Module, data: InOrder) -> float:
    """`fit_temperature` of a program's scores on a data set.

    Args:
        program: with `scores(x)`, from normalised inputs to scores before the softmax.
        data: records that were not trained on.
    """
    program.eval()
    scores, labels = [], []
    with torch.inference_mode():
        for x, y in data.parts():
            scores.append(program.scores(x).cpu())  # type: ignore[operator]  # a method of every program
            labels.append(y.cpu())
    return fit_temperature(torch.cat(scores), torch.cat(labels))
