"""Where a classifier is wrong: which classes it takes for which others, and which records it gets most wrong."""

from typing import Any

import numpy as np


def confused_pairs(confusion: np.ndarray, classes: list[str], *, limit: int) -> list[dict[str, Any]]:
    """The most frequent confusions of a matrix (K, K; rows are true classes), most cases first, then in class order."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [np.unravel_index(index, wrong.shape) for index in order if wrong.flat[index] > 0]
    return [
        {"label": classes[i], "predicted": classes[j], "count": int(wrong[i, j]), "of": int(confusion[i].sum())} for i, j in pairs
    ]


def worst_mistakes(
    ids: list[str], labels: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, classes: list[str], *, limit: int
) -> list[dict[str, Any]]:
    """Wrongly predicted records, least probability for the true class first, equals by id.

    Each has `id`, `label`, `predicted`, `confidence` (probability of the predicted class) and `probability_of_label`.
    """
    wrong = np.flatnonzero(predicted != labels)
    ranked = sorted(wrong.tolist(), key=lambda row: (float(probabilities[row, labels[row]]), ids[row]))
    return [
        {
            "id": ids[row],
            "label": classes[labels[row]],
            "predicted": classes[predicted[row]],
            "confidence": float(probabilities[row, predicted[row]]),
            "probability_of_label": float(probabilities[row, labels[row]]),
        }
        for row in ranked[:limit]
    ]
