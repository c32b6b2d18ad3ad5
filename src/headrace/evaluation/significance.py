"""Is a difference larger than chance? Intervals for one model and for the paired difference of two."""

import numpy as np
from scipy.stats import binomtest

from headrace.params import Report

EXACT_VALUES = 64
"""With at most this many different paired differences a resample is one multinomial draw of their counts: exact, at any N."""


class Comparison(Report):
    """One model beside the candidate, on the same records. Scores are means over records; higher is better."""

    model: str
    score: float
    low: float
    high: float
    difference: float
    """Candidate minus this model."""
    difference_low: float
    difference_high: float


def paired_bootstrap(
    correct_a: np.ndarray, correct_b: np.ndarray, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of a minus mean of b, with the percentile bootstrap interval over records drawn in pairs.

    Args:
        correct_a: score of model a on each record, shape (N,); bool (right or wrong) or float.
        correct_b: score of model b on the same records in the same order.
        resamples: number of bootstrap samples of N records each.
        seed: of the resampling; the same seed gives the same interval.
        confidence: share of resamples the interval covers, in (0, 1).

    Returns:
        (difference, low, high), in the unit of the scores.

    Raises:
        ValueError: no records, shapes that disagree, or scores that are not finite.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"paired scores need one equal, non-empty length, got shapes {a.shape} and {b.shape}")
    differences = a - b
    low, high = _percentile_interval(differences, resamples=resamples, seed=seed, confidence=confidence)
    return float(differences.mean()), low, high


def unpaired_bootstrap(
    a: np.ndarray, b: np.ndarray, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of a minus mean of b, which were scored on different records, with the percentile interval of resamples of each by itself."""
    rng = np.random.default_rng(seed)
    ours, others = (np.asarray([rng.choice(scores, len(scores)).mean() for _ in range(resamples)]) for scores in (a, b))
    low, high = np.quantile(ours - others, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(a.mean() - b.mean()), float(low), float(high)


def mean_interval(scores: np.ndarray, *, resamples: int, seed: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean score of one model with its interval: Wilson's for right or wrong (bool), the bootstrap's for other scores.

    Wilson's interval does not shrink to a point when every record is right, as the bootstrap's would.
    """
    if scores.size == 0:
        raise ValueError("a mean over no records has no interval")
    if scores.dtype == np.bool_:
        low, high = wilson_interval(int(scores.sum()), scores.size, confidence=confidence)
    else:
        low, high = _percentile_interval(scores.astype(np.float64), resamples=resamples, seed=seed, confidence=confidence)
    return float(scores.mean()), low, high


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a share of `trials` > 0 (Wilson 1927), computed by scipy."""
    interval = binomtest(successes, trials).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def compare(
    candidate: np.ndarray, others: dict[str, np.ndarray], *, resamples: int, seed: int, confidence: float = 0.95
) -> list[Comparison]:
    """The candidate against each other model on the same records, best of the others first, equals by name."""
    rows = []
    for name, scores in others.items():
        score, low, high = mean_interval(scores, resamples=resamples, seed=seed, confidence=confidence)
        difference, d_low, d_high = paired_bootstrap(candidate, scores, resamples=resamples, seed=seed, confidence=confidence)
        rows.append(Comparison(model=name, score=score, low=low, high=high,
                               difference=difference, difference_low=d_low, difference_high=d_high))  # fmt: skip
    return sorted(rows, key=lambda row: (-row.score, row.model))


def _percentile_interval(values: np.ndarray, *, resamples: int, seed: int, confidence: float) -> tuple[float, float]:
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite numbers")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence must be in (0, 1) and resamples positive, got {confidence} and {resamples}")
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= EXACT_VALUES:
        means = rng.multinomial(values.size, counts / values.size, size=resamples) @ distinct / values.size
    else:
        # One resample at a time: resamples x N indices of a large test set would not fit in memory.
        means = np.array([values[rng.integers(0, values.size, values.size)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
