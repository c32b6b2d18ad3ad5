import numpy as np
import pytest

from headrace.evaluation.calibration import expected_calibration_error, reliability


def reference_ece(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Guo et al. 2017, eq. 3, written as it stands there."""
    confidence, correct = probabilities.max(1).astype(float), probabilities.argmax(1) == labels
    total = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            total += inside.sum() / len(labels) * abs(correct[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_error_equals_the_papers_formula(probabilities, bins):
    """Our one hand-written metric is checked against an independent reading of its source."""
    labels = np.random.default_rng(1).integers(0, 3, 500)
    p = probabilities(labels, 3)

    assert expected_calibration_error(p, labels, bins=bins) == pytest.approx(reference_ece(p, labels, bins))


def test_certain_and_right_is_perfectly_calibrated():
    """Confidence 1 belongs to the last bin, not to one beyond it."""
    p = np.eye(3, dtype=np.float32)

    assert expected_calibration_error(p, np.arange(3)) == 0


def test_an_empty_bin_is_empty_and_not_zero():
    """A zero would be drawn as a bin that is always wrong."""
    rows = reliability(np.array([[0.9, 0.1]], dtype=np.float32), np.array([0]), bins=2)

    assert rows[0]["accuracy"] is None
    assert rows[1]["count"] == 1


@pytest.mark.badinput
def test_no_records_is_refused():
    """A mean over nothing would be NaN."""
    with pytest.raises(ValueError, match="N > 0"):
        expected_calibration_error(np.empty((0, 3), np.float32), np.empty(0, np.int64))
