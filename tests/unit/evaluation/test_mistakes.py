import numpy as np

from headrace.evaluation.mistakes import confused_pairs, worst_mistakes

CLASSES = ["ant", "bee", "cat"]


def test_most_frequent_confusion_stands_first():
    """The diagonal is no confusion, and a pair that never happened is not listed."""
    matrix = np.array([[9, 1, 0], [4, 5, 0], [0, 0, 7]])

    assert confused_pairs(matrix, CLASSES, limit=5) == [
        {"label": "bee", "predicted": "ant", "count": 4, "of": 9},
        {"label": "ant", "predicted": "bee", "count": 1, "of": 10},
    ]


def test_worst_mistake_is_the_least_probable_truth_and_ties_go_by_id():
    """A gallery that depends on row order would change with an equal data set."""
    p = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.9, 0.1, 0], [0, 0, 1]], dtype=np.float32)
    labels = np.array([1, 1, 1, 2])

    worst = worst_mistakes(["d", "a", "b", "c"], labels, p.argmax(1), p, CLASSES, limit=3)

    assert [row["id"] for row in worst] == ["b", "d", "a"]
    assert worst[0]["label"] == "bee"
    assert worst[0]["predicted"] == "ant"
