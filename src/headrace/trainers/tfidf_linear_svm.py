"""A linear SVM on TF-IDF of words and word pairs: often the best model of topics, fitted in seconds.

The candidate is the baseline of the same name, if their options are the same.
"""

from pydantic import Field
from sklearn.svm import LinearSVC

from headrace.params import parse_section
from headrace.training.estimator import EstimatorReport
from headrace.training.job import Job
from headrace.training.linear_texts import TermOptions, train_linear
from headrace.training.options import TrainConfig


class Options(TermOptions):
    """`train.trainer_options`."""

    c: float = Field(default=1.0, gt=0)
    """Inverse strength of the penalty."""
    max_iterations: int = Field(default=1000, ge=1)


def train(params: TrainConfig, job: Job) -> EstimatorReport:
    """Fit it on splits/train and `augmented`."""
    options = parse_section(params.trainer_options, "train.trainer_options", Options, where="params.yaml")
    return train_linear(
        params,
        job,
        options,
        lambda seed: LinearSVC(C=options.c, max_iter=options.max_iterations, random_state=seed),
        weighting="tfidf",
        has_probabilities=False,
    )
