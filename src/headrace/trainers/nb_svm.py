"""A linear SVM on words and word pairs, each weighted by how much more often one class has it (Wang and Manning 2012).

The candidate is the baseline of the same name, if their options are the same.
"""

from pydantic import Field

from headrace.baselines.nb_svm import NaiveBayesSvm
from headrace.params import parse_section
from headrace.training.estimator import EstimatorReport
from headrace.training.job import Job
from headrace.training.linear_texts import TermOptions, train_linear
from headrace.training.options import TrainConfig


class Options(TermOptions):
    """`train.trainer_options`."""

    c: float = Field(default=1.0, gt=0)
    """Inverse strength of the penalty."""
    smoothing: float = Field(default=1.0, gt=0)
    """Added to every count before class ratios are taken."""
    interpolation: float = Field(default=1.0, ge=0, le=1)
    """Share of the SVM's own weights; the rest is their mean size, which alone is Naive Bayes. Short texts like little: 0.1 to 0.25."""
    max_iterations: int = Field(default=1000, ge=1)


def train(params: TrainConfig, job: Job) -> EstimatorReport:
    """Fit it on splits/train and `augmented`."""
    options = parse_section(params.trainer_options, "train.trainer_options", Options, where="params.yaml")
    return train_linear(
        params,
        job,
        options,
        lambda seed: NaiveBayesSvm(
            C=options.c,
            smoothing=options.smoothing,
            max_iter=options.max_iterations,
            random_state=seed,
            interpolation=options.interpolation,
        ),
        weighting="presence",
        has_probabilities=False,
    )
