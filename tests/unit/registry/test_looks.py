"""Whatever the ledger holds, no 365 days spend more than the budget, and the test is exact far in the tail."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from headrace.registry.ledger import append, read
from headrace.registry.looks import YEAR, Look, allowance, is_better, looks_of, p_better

START = datetime(2026, 1, 1, tzinfo=UTC)


def spend(gaps, *, budget, per_year):
    """Look after look, each at its distance in hours from the one before."""
    looks, now = [], START
    for gap in gaps:
        now += timedelta(hours=gap)
        allowed = allowance(looks, now, error_budget=budget, looks_per_year=per_year).allowed
        looks.append(Look(max([now, *(look.time for look in looks)]), allowed))
    return looks


@given(
    gaps=st.lists(st.integers(-5000, 5000), max_size=60),
    budget=st.floats(0.001, 0.5),
    per_year=st.integers(1, 40),
)
def test_no_year_spends_more_than_its_budget(gaps, budget, per_year):
    """Any window of 365 days, with a clock that jumps to and fro: the promise is for every year, not for calendar years."""
    looks = spend(gaps, budget=budget, per_year=per_year)

    for last in looks:
        spent = sum(look.spent for look in looks if last.time - YEAR < look.time <= last.time)
        assert spent <= budget * (1 + 1e-9)


@given(budgets=st.lists(st.tuples(st.floats(0.001, 0.1), st.integers(1, 20)), min_size=1, max_size=40))
def test_changed_params_do_not_spend_more_than_the_largest_budget(budgets):
    """What was spent stands in the ledger; a new number of looks divides what is left, not the whole."""
    looks = []
    for day, (budget, per_year) in enumerate(budgets):
        now = START + timedelta(days=day)
        looks.append(Look(now, allowance(looks, now, error_budget=budget, looks_per_year=per_year).allowed))

    assert sum(look.spent for look in looks) <= max(budget for budget, _ in budgets) * (1 + 1e-9)


def test_a_nightly_schedule_never_runs_dry():
    """The default is made for it: every night of three years may spend the same part."""
    looks = spend([24] * 3 * 365, budget=0.05, per_year=365)

    assert [look.spent for look in looks] == pytest.approx([0.05 / 365] * len(looks), rel=1e-9)


def test_beyond_the_budget_nothing_is_allowed_until_a_look_is_a_year_old():
    """And it says from when on."""
    looks = spend([24] * 3, budget=0.05, per_year=3)
    dry = allowance(looks, looks[-1].time, error_budget=0.05, looks_per_year=3)
    later = allowance(looks, dry.free_on, error_budget=0.05, looks_per_year=3)

    assert (dry.allowed, dry.number, dry.free_on) == (0.0, 4, looks[0].time + YEAR)
    assert later.allowed == pytest.approx(0.05 / 3)


@given(better=st.integers(0, 400), worse=st.integers(0, 400))
def test_p_is_that_of_the_exact_binomial_test(better, worse):
    """Down to 1e-120: a bootstrap with 10,000 resamples ends at 1e-4."""
    expected = binomtest(better, better + worse, 0.5, alternative="greater").pvalue if better + worse else 1.0

    assert float(p_better(better, worse)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("differing", [1, 5, 30, 200])
@pytest.mark.parametrize("allowed", [0.05, 0.05 / 365])
def test_equal_models_pass_at_most_as_often_as_allowed(differing, allowed):
    """Summed over all outcomes, not sampled: the level holds for every number of records on which the two differ."""
    better = np.arange(differing + 1)
    weights = [p_exactly(int(b), differing) for b in better]

    assert sum(w for w, passes in zip(weights, is_better(better, differing - better, allowed), strict=True) if passes) <= allowed


def p_exactly(successes, trials):
    return float(
        p_better(successes, trials - successes) - (p_better(successes + 1, trials - successes - 1) if successes < trials else 0)
    )


def test_without_budget_nothing_is_better():
    """P underflows to 0 for models far apart, and 0 <= 0 must not promote."""
    assert not is_better(9000, 0, 0.0)


def test_looks_are_read_in_the_order_of_the_ledger(tmp_path):
    """A clock set back a year makes a look no older than the entry before it; other models' looks spend nothing of this one's."""
    path = tmp_path / "ledger.jsonl"
    for version, (model, year, action) in enumerate(
        [("a", 2026, "look"), ("b", 2026, "look"), ("b", 2027, "promote"), ("a", 2020, "look"), ("a", 2028, "look")], start=1
    ):
        append(
            path,
            time=datetime(year, 1, 1, tzinfo=UTC).isoformat(),
            action=action,
            model=model,
            version=version,
            previous_version=None,
            package="a" * 64,
            actor="ada",
            evidence={"allowed": 0.001 * version},
        )
    looks = looks_of(read(path), "a")

    assert [look.time.year for look in looks] == [2026, 2027, 2028]
    assert [look.spent for look in looks] == pytest.approx([0.001, 0.004, 0.005])
