"""The decision and its reason, as a person reads it."""

import pytest

from headrace.registry.judgement import Measured, PromoteParams, judge, short
from headrace.registry.looks import Allowance

LOOK = Allowance(number=37, allowed=0.05 / 365, left=0.04, free_on=None)


def measured(better, worse, *, low=-0.001, high=0.02):
    return Measured(records=10_000, better=better, worse=worse, low=low, high=high)


def test_better_says_by_how_much_and_how_sure():
    """Points, p, and what this look was allowed."""
    decision, reason = judge(PromoteParams(), measured(160, 70), LOOK, approve=False)

    assert decision == "promoted"
    assert reason == (
        "The challenger is better by 0.9 points: p = 1.4e-9, allowed 1.4e-4 at look 37 of this year "
        "(160 records right that the champion has wrong, 70 the other way)."
    )


def test_an_equal_retraining_is_kept_without_alarm():
    """The same recipe on the same data gives the same model: nothing is wrong."""
    decision, reason = judge(PromoteParams(), measured(0, 0), LOOK, approve=False)

    assert (decision, reason) == (
        "kept",
        "The champion stays: the two are right on the same records (look 37 of this year).",
    )


@pytest.mark.parametrize(
    ("better", "worse", "words"), [(60, 40, "ahead by 0.2 points"), (40, 60, "behind by 0.2 points"), (5, 5, "level")]
)
def test_not_shown_to_be_better_keeps_the_champion(better, worse, words):
    """P < 0.05 would have promoted the first at one look in a year."""
    decision, reason = judge(PromoteParams(), measured(better, worse), LOOK, approve=True)

    assert decision == "kept"
    assert f"The champion stays: the challenger is {words}, not shown to be better: p = 0." in reason


def test_not_worse_is_a_choice_that_asks_no_budget():
    """For test sets too small to show that anything is better."""
    params = PromoteParams(require="not_worse", max_regression=0.002)

    assert judge(params, measured(5, 6), LOOK, approve=False)[0] == "promoted"
    assert judge(params, measured(5, 6, low=-0.01), LOOK, approve=False)[0] == "kept"
    assert judge(params, measured(5, 6, low=float("nan")), LOOK, approve=False)[0] == "kept"


def test_manual_waits_and_approval_lets_pass_only_what_passes():
    """The reason ends with the command."""
    manual = PromoteParams(mode="manual")
    decision, reason = judge(manual, measured(160, 70), LOOK, approve=False)

    assert (decision, reason.endswith("`headrace promote --approve`")) == ("awaiting approval", True)
    assert judge(manual, measured(160, 70), LOOK, approve=True)[0] == "promoted"
    assert judge(manual, measured(70, 160), LOOK, approve=True)[0] == "kept"


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (0.0314, "0.031"), (0.05 / 365, "1.4e-4"), (2e-5, "2e-5"), (1e-120, "1e-120"), (1.0, "1")]
)
def test_small_probabilities_are_short(value, text):
    """Read at a glance."""
    assert short(value) == text
