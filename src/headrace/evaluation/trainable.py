"""Which baselines can be the candidate, and what trains each: a table, because a look at the trainers imports all that they use."""

from collections.abc import Sequence

from headrace.evaluation.significance import Comparison

TRAINERS = {
    "boosted_trees": "gradient_boosted_trees",
    "nb_svm": "nb_svm",
    "tfidf_linear_svm": "tfidf_linear_svm",
    "tfidf_logistic_regression": "tfidf_logistic_regression",
}
"""Baseline of headrace/baselines to module of headrace/trainers; a test holds both rooms against it."""


def best_trainable(comparison: Sequence[Comparison]) -> Comparison | None:
    """The best baseline that could be the candidate instead; `comparison` has the best first."""
    return next((row for row in comparison if row.model in TRAINERS), None)


def how_to_ship(baseline: str, trained: str, *, is_shown: bool) -> str:
    """What to type so that this baseline, one of `TRAINERS`, is the candidate; '' where it is one already, as good by chance.

    Args:
        baseline: its name.
        trained: what model.json says was trained: a trainer, or the network of ours.
        is_shown: the baseline is shown to be better.
    """
    trainer = TRAINERS[baseline]
    if trainer == trained:
        other = (
            f"{baseline} is the candidate's own kind with other numbers: give `train.trainer_options` those of `baseline.config`."
        )
        return other if is_shown else ""
    return f"To make {baseline} the candidate, set `train.trainer: {trainer}` in params.yaml."
