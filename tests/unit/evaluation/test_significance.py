import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from headrace.evaluation.significance import compare, mean_interval, paired_bootstrap


def test_interval_agrees_with_scipys_bootstrap():
    """The multinomial shortcut must be the bootstrap itself, not something near it."""
    rng = np.random.default_rng(0)
    a, b = rng.random(400) < 0.93, rng.random(400) < 0.88
    result = bootstrap((a.astype(float) - b,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))

    difference, low, high = paired_bootstrap(a, b, resamples=20_000, seed=1)

    assert difference == pytest.approx(a.mean() - b.mean())
    assert (low, high) == pytest.approx(tuple(result.confidence_interval), abs=0.003)


def test_scores_that_are_no_booleans_are_resampled_record_by_record():
    """A loss per document has too many distinct values for the shortcut."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=300), rng.normal(size=300)
    result = bootstrap((a - b,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1))

    _, low, high = paired_bootstrap(a, b, resamples=5000, seed=1)

    assert (low, high) == pytest.approx(tuple(result.confidence_interval), abs=0.02)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), seed=st.integers(0, 2**31))
def test_interval_holds_the_difference_and_is_repeatable(pairs, seed):
    """Equal inputs give equal numbers, and swapping the models mirrors the difference."""
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    first = paired_bootstrap(a, b, resamples=2000, seed=seed)

    assert first == paired_bootstrap(a, b, resamples=2000, seed=seed)
    assert -1 <= first[1] <= first[2] <= 1
    assert first[0] == pytest.approx(-paired_bootstrap(b, a, resamples=2000, seed=seed)[0])


def test_equal_models_differ_by_nothing():
    """Two models that agree on every record have no interval to speak of."""
    a = np.array([True, False, True])

    assert paired_bootstrap(a, a, resamples=100, seed=0) == (0.0, 0.0, 0.0)


def test_two_records_give_an_interval():
    """A subgroup of 2 rows is small, not an error."""
    _, low, high = paired_bootstrap(np.array([True, True]), np.array([False, True]), resamples=1000, seed=0)

    assert (low, high) == (0.0, 1.0)


def test_accuracy_of_a_perfect_model_is_not_certain():
    """The bootstrap would say [1, 1]; 30 records cannot show that."""
    mean, low, high = mean_interval(np.ones(30, dtype=bool), resamples=100, seed=0)

    assert mean == high == 1
    assert 0.85 < low < 0.95


@pytest.mark.badinput
@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False]), ([float("nan")], [1.0])])
def test_scores_that_cannot_be_paired_are_refused(a, b):
    """A silent broadcast would compare different records."""
    with pytest.raises(ValueError, match="scores"):
        paired_bootstrap(np.array(a), np.array(b), resamples=100, seed=0)


def test_best_baseline_stands_first():
    """The gate compares with the first row."""
    right = np.array([True, True, True, False])
    rows = compare(right, {"zeta": right, "alpha": right, "low": ~right}, resamples=100, seed=0)

    assert [row.model for row in rows] == ["alpha", "zeta", "low"]
