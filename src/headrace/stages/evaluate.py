"""Judge the candidate on the test split, beside the baselines, and say whether it may be registered.

Run by the DAG: python -m headrace.stages evaluate --model models/candidate/model.json --predictions reports/predictions.parquet
    --baselines reports/baselines.parquet --plots reports/plots/evaluate
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from headrace.evaluation.contract import read_model
from headrace.evaluation.gates import Thresholds, Verdict, name_winner, reach_verdict
from headrace.evaluation.measures import say_ends, say_name, say_value, write_value
from headrace.evaluation.significance import Comparison, compare, mean_interval
from headrace.evaluation.tables import write_tables
from headrace.evaluation.trainable import best_trainable
from headrace.params import Out, Report, Section, parse_section
from headrace.plugins import resolve


class Params(Section):
    """The absolute gate and how intervals are computed."""

    evaluation: str
    """Module of evaluation/ that judges, such as `classification`, or own `module:attribute`."""
    thresholds: Thresholds = {}  # noqa: RUF012 - pydantic copies it
    """`min_<metric>` or `max_<metric>`, any metric of reports/evaluate.json; the candidate must meet them all."""
    max_regression: Annotated[float, Field(ge=0)] = 0.01
    """How far below the best baseline the lower bound of the paired interval may lie, in the unit of the score."""
    allow_beaten: bool = False
    """Allow a candidate although a baseline that `train.trainer` could train in its place is shown to be better: the whole paired
    interval is below zero."""
    resamples: Annotated[int, Field(ge=100, le=10_000_000)] = 10_000
    """Bootstrap samples."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 17
    options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """Options of the task's evaluation, such as `calibration_bins`."""


class EvaluateReport(Report):
    """Metrics for `dvc metrics`, the verdict, and the tables behind them."""

    headline: str
    """The line for the terminal."""
    evaluation: str
    fingerprint: str
    """Of the training that made the candidate, from model.json."""
    test_records: int
    test_digest: str
    """sha256 of the ids and labels that were judged."""
    metrics: dict[str, float | None]
    score: str
    """The metric that is compared with the baselines."""
    score_low: float
    score_high: float
    confidence: float
    verdict: Verdict
    comparison: list[Comparison]
    """Baselines, best first, each with the paired difference candidate minus baseline."""
    notes: list[str]
    figures: list[dict[str, str]]
    """`name` and `title` of each figure in reports/plots/evaluate; a list, which `dvc metrics` leaves out."""
    details: dict[str, Any]


def run(params: Params, *, model: Path, predictions: Path, baselines: Path, plots: Out) -> EvaluateReport:
    """Measure, compare, judge, draw. Reads only what a trainer and `baseline` saved."""
    card = read_model(model)
    evaluation = resolve("evaluation", params.evaluation, None, where="evaluate.evaluation")
    options = parse_section(params.options, "evaluate.options", evaluation.Options, where="params.yaml")
    judged = evaluation.judge(predictions, baselines, card, options)
    resampling: dict[str, Any] = {"resamples": params.resamples, "seed": params.seed, "confidence": params.confidence}
    score, low, high = mean_interval(judged.scores, **resampling)
    comparison = compare(judged.scores, judged.baseline_scores, **resampling)
    best = comparison[0] if comparison else None
    trained = str(card.get("network", {}).get("name", ""))
    verdict = reach_verdict(
        judged.metrics,
        params.thresholds,
        best,
        score=judged.score_name,
        max_regression=params.max_regression,
        rival=best_trainable(comparison),
        trained=trained,
        allow_beaten=params.allow_beaten,
    )
    write_tables(plots, judged.tables)
    winner = f"; {name}" if (name := name_winner(best)) else ""
    said, (least, most) = say_value(judged.score_name, score), say_ends(judged.score_name, low, high)
    written, *ends = (write_value(judged.score_name, value) for value in (said, least, most))
    told = f"{say_name(judged.score_name)} {written} ({' to '.join(ends)})"
    return EvaluateReport(
        headline=f"{told}, {'allowed' if verdict.allowed else 'not allowed'}{winner}",
        evaluation=params.evaluation,
        fingerprint=str(card.get("fingerprint", "")),
        test_records=judged.records,
        test_digest=judged.digest,
        metrics=judged.metrics,
        score=judged.score_name,
        score_low=low,
        score_high=high,
        confidence=params.confidence,
        verdict=verdict,
        comparison=comparison,
        notes=judged.notes,
        figures=[{"name": key, "title": title} for key, title in evaluation.draw(judged, (low, high), comparison, plots).items()],
        details=judged.details,
    )
