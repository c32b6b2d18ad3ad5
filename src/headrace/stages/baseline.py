"""Fit classical models on the same split, as a floor for the trained candidate. Needs neither augment nor train.

Run by the DAG: python -m headrace.stages baseline --splits data/splits --out reports/baselines.parquet
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from headrace.dataset.schema import read_info
from headrace.evaluation.baselines import (
    draw_training_sample,
    find_models,
    fit_baseline,
    num_features,
    predict_split,
    score_split,
)
from headrace.evaluation.predictions import Decisions, write_baselines
from headrace.evaluation.scores import Scores, write_baseline_scores
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report, Section
from headrace.plugins import resolve


class Params(Section):
    """Which classical models, on how many records."""

    models: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "majority",
        "logistic_regression",
        "linear_svm",
        "rbf_svm",
    )
    """Fitted in this order; the names are those of headrace/baselines/<task>.py."""
    max_records: Annotated[int, Field(ge=2)] = 5000
    """Training records used at most, drawn by `seed`: a kernel machine on 50,000 images would take an hour."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 17
    config: dict[str, Any] = Field(default={})
    """Settings of the models, as headrace/baselines/<task>.py types them."""


class BaselineResult(Report):
    """One classical model on the test split."""

    accuracy: float
    converged: bool
    problems: list[str]


class ScoreResult(Report):
    """The same where records have no classes."""

    score: float
    """Mean over the records; higher is better."""
    converged: bool
    problems: list[str]


class BaselineReport(Report):
    """What the floor is, and on how many records it stands."""

    headline: str
    """The line for the terminal."""
    training_records: int
    """Records of the training split."""
    used_records: int
    """Records the models were fitted on: all, or a sample of max_records."""
    sampled: bool
    test_records: int
    features: int
    models: dict[str, BaselineResult | ScoreResult]


def run(params: Params, *, splits: Path, out: Out, progress: Progress | None = None) -> BaselineReport:
    """Fit each model once, predict the test split, write one row per model and test record."""
    progress = progress or SilentProgress()
    info = read_info(splits / "train")
    task = resolve("tasks", info.task, None, where="collect.task")
    models, config = find_models(info.task, params.models, params.config)
    x, y = draw_training_sample(splits / "train", task, max_records=params.max_records, seed=params.seed)
    progress.start("baselines", len(params.models), unit="models")
    fitted = []
    for name in dict.fromkeys(params.models):
        fitted.append(fit_baseline(name, models, config, x, y, seed=params.seed))
        progress.advance(note=name)
    outcomes: Mapping[str, Decisions | Scores]
    kind: type[BaselineResult | ScoreResult]
    if hasattr(task, "score"):
        kind, measure = ScoreResult, "score"
        outcomes = scores = score_split(fitted, splits / "test", task)
        write_baseline_scores(out, scores)
    else:
        kind, measure = BaselineResult, "accuracy"
        outcomes = decisions = predict_split(fitted, splits / "test", task)
        write_baselines(out, decisions)
    means = {name: float(outcome.values.mean()) for name, outcome in outcomes.items()}
    best = max(means, key=lambda name: means[name])
    progress.finish()
    return BaselineReport(
        headline=f"best {best}, {measure} {means[best]:.4f}",
        training_records=info.rows,
        used_records=len(y),
        sampled=len(y) < info.rows,
        test_records=len(outcomes[best].ids),
        features=num_features(x, fitted),
        models={
            m.name: kind.model_validate({measure: means[m.name], "converged": not m.problems, "problems": m.problems})
            for m in fitted
        },
    )
