import pytest

from headrace.errors import ParamsError
from headrace.evaluation.gates import NOT_BEATEN, NOT_WORSE, name_winner, reach_verdict
from headrace.evaluation.significance import Comparison


def against(low: float, high: float, model: str = "rbf_svm") -> Comparison:
    return Comparison(
        model=model, score=0.9, low=0.8, high=0.95, difference=(low + high) / 2, difference_low=low, difference_high=high
    )


def test_all_thresholds_met_allows():
    """The plain good case, with the checks listed so that a reader can see what was asked."""
    verdict = reach_verdict(
        {"accuracy": 0.95, "ece": 0.02},
        {"min_accuracy": 0.9, "max_ece": 0.05},
        against(-0.01, 0.02),
        score="accuracy",
        max_regression=0.02,
    )

    assert verdict.allowed
    assert not verdict.better
    assert [check.name for check in verdict.checks] == ["min_accuracy", "max_ece", NOT_WORSE]
    assert verdict.reasons == [
        "All 3 checks passed.",
        ("Not shown to be better than rbf_svm, the best baseline: difference +0.0050, interval -0.0100 to +0.0200."),
    ]


def test_a_value_equal_to_its_threshold_passes():
    """A tie is met, on both sides; 'at least' and 'at most' are what min and max say."""
    verdict = reach_verdict(
        {"accuracy": 0.9, "ece": 0.05},
        {"min_accuracy": 0.9, "max_ece": 0.05},
        against(-0.02, 0),
        score="accuracy",
        max_regression=0.02,
    )

    assert verdict.allowed


def test_a_missed_threshold_is_named_with_its_value():
    """The reason is what a person acts on."""
    verdict = reach_verdict({"accuracy": 0.85}, {"min_accuracy": 0.9}, against(0.01, 0.02), score="accuracy", max_regression=0.0)

    assert not verdict.allowed
    assert verdict.reasons[0] == "accuracy is 0.8500, below min_accuracy 0.9."
    assert verdict.better, "better than the baseline is a verdict of its own"


def test_being_possibly_worse_than_the_best_baseline_refuses():
    """The lower bound decides, not the mean."""
    verdict = reach_verdict({}, {}, against(-0.03, 0.05), score="accuracy", max_regression=0.02)

    assert not verdict.allowed
    assert "rbf_svm" in verdict.reasons[0]


@pytest.mark.badinput
@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_undefined_metric_never_passes(value):
    """NaN compares false both ways; an absent number must not slip through either bound."""
    verdict = reach_verdict(
        {"roc_auc_macro": value, "ece": value},
        {"min_roc_auc_macro": 0.0, "max_ece": 1.0},
        None,
        score="accuracy",
        max_regression=0.0,
    )

    assert not verdict.allowed
    assert [check.passed for check in verdict.checks] == [False, False]
    assert "undefined" in verdict.reasons[0]


@pytest.mark.badinput
def test_a_threshold_on_an_unknown_metric_is_refused_with_a_hint():
    """A misspelt threshold that is ignored is a gate left open."""
    with pytest.raises(ParamsError, match=r"min_acuracy.*Did you mean 'min_accuracy'"):
        reach_verdict({"accuracy": 0.9}, {"min_acuracy": 0.5}, None, score="accuracy", max_regression=0.0)


def test_a_baseline_that_can_be_trained_and_is_shown_to_be_better_is_preferred():
    """Shipping the loser because a tolerance allows it serves nobody: the reasons say who wins, and what to type."""
    rival = against(-0.03, -0.01, "tfidf_linear_svm")
    verdict = reach_verdict({}, {}, rival, score="accuracy", max_regression=0.05, rival=rival, trained="transformer")

    assert not verdict.allowed
    assert [check.name for check in verdict.checks if not check.passed] == [NOT_BEATEN]
    numbers = "difference -0.0200, interval -0.0300 to -0.0100"
    assert verdict.reasons == [
        f"tfidf_linear_svm, which can be trained instead, is shown to be better ({numbers}).",
        f"tfidf_linear_svm, a baseline, wins: the candidate is worse, {numbers}, all of it below zero.",
        "To make tfidf_linear_svm the candidate, set `train.trainer: tfidf_linear_svm` in params.yaml.",
    ]
    assert name_winner(rival) == "tfidf_linear_svm wins"


def test_a_better_mean_within_chance_is_said_and_not_refused():
    """On few records one of two equal models is always ahead."""
    rival = against(-0.03, 0.01, "nb_svm")
    verdict = reach_verdict({}, {}, rival, score="accuracy", max_regression=0.05, rival=rival, trained="transformer")

    assert verdict.allowed
    assert verdict.reasons[1:] == [
        "nb_svm, the best baseline, has the better mean, within chance: difference -0.0100, interval -0.0300 to +0.0100.",
        "To make nb_svm the candidate, set `train.trainer: nb_svm` in params.yaml.",
    ]
    assert name_winner(rival) == "nb_svm is ahead, within chance"


def test_of_a_winner_that_cannot_be_trained_the_next_one_that_can_is_named():
    """The advice is something that can be typed."""
    best, rival = against(-0.04, -0.02), against(-0.03, -0.01, "nb_svm")
    verdict = reach_verdict({}, {}, best, score="accuracy", max_regression=0.05, rival=rival, trained="transformer")

    assert not verdict.allowed
    assert verdict.reasons[-2].startswith("rbf_svm, a baseline, wins")
    assert verdict.reasons[-1] == "To make nb_svm the candidate, set `train.trainer: nb_svm` in params.yaml."


def test_a_candidate_of_the_winners_own_kind_is_told_of_its_numbers():
    """`train.trainer` says so already; what differs are the options."""
    rival = against(-0.03, -0.01, "nb_svm")
    verdict = reach_verdict({}, {}, rival, score="accuracy", max_regression=0.05, rival=rival, trained="nb_svm")

    by_chance = against(-0.03, 0.01, "nb_svm")
    told = reach_verdict({}, {}, by_chance, score="accuracy", max_regression=0.05, rival=by_chance, trained="nb_svm").reasons

    assert "`train.trainer_options`" in verdict.reasons[-1]
    assert "`train.trainer" not in " ".join(told)


def test_a_candidate_that_is_the_best_baseline_is_no_worse_than_itself():
    """Every answer is the same, and nothing is to be typed."""
    same = against(0.0, 0.0, "nb_svm")
    verdict = reach_verdict({}, {}, same, score="accuracy", max_regression=0.0, rival=same, trained="nb_svm")

    assert verdict.allowed
    assert verdict.reasons[1:] == ["No better and no worse than nb_svm, the best baseline, on any test record."]
    assert name_winner(same) == ""


def test_an_error_is_told_without_its_minus_and_to_four_digits():
    """Prices: the score is the error with a minus, and nobody says it so."""
    worse = Comparison(
        model="boosted_trees", score=-21_000.0, low=-22_000.0, high=-20_000.0,
        difference=-2451.5, difference_low=-3000.25, difference_high=-1900.0,
    )  # fmt: skip
    verdict = reach_verdict(
        {"mae": 23451.5}, {"max_mae": 20000}, worse, score="negative_mae", max_regression=100, rival=worse, trained="mlp"
    )

    told = "difference in MAE +2,452, interval +1,900 to +3,000"
    assert verdict.reasons == [
        "mae is 23,452, above max_mae 20000.",
        f"It may be worse than boosted_trees, the best baseline, by 3,000 ({told}); max_regression is 100.",
        f"boosted_trees, which can be trained instead, is shown to be better ({told}).",
        f"boosted_trees, a baseline, wins: the candidate is worse, {told}, all of it above zero.",
        "To make boosted_trees the candidate, set `train.trainer: gradient_boosted_trees` in params.yaml.",
    ]
