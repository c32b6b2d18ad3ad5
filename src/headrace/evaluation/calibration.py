"""Does a stated probability mean what it says?"""

from typing import Any

import numpy as np

from headrace.evaluation.significance import wilson_interval


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> float:
    """Sample-weighted mean gap between confidence and accuracy, over equal-width bins.

    Args:
        probabilities: class probabilities, shape (N, K), each row sums to 1.
        labels: true classes, shape (N,), int64 in [0, K).
        bins: number of confidence bins over [0, 1].

    Returns:
        The error in [0, 1]; 0 is perfectly calibrated.

    Raises:
        ValueError: N is 0, or the shapes disagree.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    rows = [row for row in reliability(probabilities, labels, bins=bins) if row["count"]]
    return float(sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / len(labels))


def reliability(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> list[dict[str, Any]]:
    """One row per confidence bin (low, high]: count, mean confidence, and accuracy with its 95 % interval, None where empty."""
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"expected probabilities (N, K) and labels (N,) with N > 0, got {probabilities.shape} and {labels.shape}"
        )
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    # Rounding can lift a float32 probability above 1; it belongs to the last bin.
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    confidences = np.bincount(place, weights=confidence, minlength=bins)
    hits = np.bincount(place, weights=correct, minlength=bins)
    rows = []
    for b, n in enumerate(counts.tolist()):
        row: dict[str, Any] = {"low": float(edges[b]), "high": float(edges[b + 1]), "count": n}
        if n:
            low, high = wilson_interval(int(hits[b]), n)
            row |= {
                "confidence": float(confidences[b] / n),
                "accuracy": float(hits[b] / n),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        else:
            row |= dict.fromkeys(("confidence", "accuracy", "accuracy_low", "accuracy_high"))
        rows.append(row)
    return rows
