"""Judge a language model by what it loses on the test split, per byte, character and word, beside the baselines on the same records."""

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from matplotlib.axes import Axes
from pydantic import Field

from headrace.errors import DataError
from headrace.evaluation.contract import Judgement
from headrace.evaluation.plots import paint_losses, save
from headrace.evaluation.predictions import read_measured
from headrace.evaluation.scores import Scores, read_baseline_scores, read_scores
from headrace.evaluation.significance import Comparison
from headrace.params import Section

UNITS = ("bytes", "characters", "words")

SCORE = "log_likelihood_per_byte"


class Options(Section):
    """How a language model is judged."""

    worst_records: Annotated[int, Field(ge=0, le=1000)] = 12
    """Records listed with their ids, those that it expects least first."""


def judge(predictions: Path, baselines: Path, model: dict[str, Any], options: Options) -> Judgement:  # noqa: ARG001  # the contract's arguments
    """Losses of the whole test split, and of the validation split where there is one.

    Raises:
        DataError: scores that are not finite, of other records than the baselines'.
    """
    test = read_scores(predictions, "test")
    measured = _lengths(predictions, test)
    others = read_baseline_scores(baselines, test)
    nats = test.values * measured["bytes"]
    per_byte = measured["bytes"] / measured["bytes"].mean()
    validation = _validation_loss(predictions)
    losses = {name: _losses(other.values * measured["bytes"], measured) for name, other in others.items()}
    table = [{"model": "candidate", **_losses(nats, measured)}, *({"model": name, **row} for name, row in losses.items())]
    worst = np.argsort(test.values, kind="stable")[: options.worst_records]
    return Judgement(
        records=len(test.ids),
        digest=test.digest(),
        score_name=SCORE,
        # Weighted by size, so that their mean is the likelihood of the whole text and not that of the mean record.
        scores=test.values * per_byte,
        baseline_scores={name: other.values * per_byte for name, other in others.items()},
        metrics={SCORE: float((test.values * per_byte).mean()), **_losses(nats, measured), **validation},
        notes=[
            "Every record is read from its beginning, without what stands before it; perplexity per word counts what spaces separate."
        ],
        details={
            "shown": [_shown(table)],
            "least_expected": [
                {"id": test.ids[row], "loss_per_character": float(-nats[row] / measured["characters"][row])}
                for row in worst.tolist()
            ],
        },
        tables={"losses": table},
    )


def _losses(nats: np.ndarray, measured: dict[str, np.ndarray]) -> dict[str, float]:
    """Of log-likelihoods (N,) in nats."""
    total = float(-nats.sum())
    sizes = {unit: float(max(measured[unit].sum(), 1)) for unit in UNITS}
    return {
        "loss_per_character": total / sizes["characters"],
        "bits_per_byte": total / sizes["bytes"] / math.log(2),
        "perplexity_per_character": math.exp(min(total / sizes["characters"], 700)),
        "perplexity_per_word": math.exp(min(total / sizes["words"], 700)),
    }


def _shown(table: list[dict[str, Any]]) -> dict[str, Any]:
    """The table as the page shows it."""
    units = ("loss_per_character", "bits_per_byte", "perplexity_per_character", "perplexity_per_word")
    return {
        "title": "What each model loses on the test split",
        "columns": ["model", *(unit.replace("_", " ") for unit in units)],
        "rows": [[row["model"], *(f"{row[unit]:,.4g}" for unit in units)] for row in table],
    }


def _validation_loss(predictions: Path) -> dict[str, float | None]:
    try:
        held_out = read_scores(predictions, "validation")
    except DataError:
        return {"validation_loss_per_character": None}
    measured = _lengths(predictions, held_out)
    total = -(held_out.values * measured["bytes"]).sum()
    return {"validation_loss_per_character": float(total / measured["characters"].sum())}


def _lengths(predictions: Path, scores: Scores) -> dict[str, np.ndarray]:
    measured = read_measured(predictions, scores.ids)
    missing = [unit for unit in UNITS if unit not in measured]
    if missing:
        raise DataError(f"{predictions} has no column '{missing[0]}', without which a loss has no unit. Rerun `train`.")
    return measured


def draw(judged: Judgement, interval: tuple[float, float], comparison: list[Comparison], folder: Path) -> dict[str, str]:
    """Write comparison.png; returns its title."""
    title = comparison_title(comparison)
    label = f"Loss on {judged.records} test records, nats per byte, with interval"

    def paint(axes: Axes) -> None:
        paint_losses(axes, judged, interval, comparison, label=label, write="{:.3f}".format)

    save(folder / "comparison.png", title, paint, (6.4, 1.8 + 0.45 * len(comparison)))
    return {"comparison": title}


def comparison_title(comparison: list[Comparison]) -> str:
    """The candidate against the best baseline, in nats per byte."""
    if not comparison:
        return "There is no baseline to compare with"
    best = comparison[0]
    numbers = f"{best.difference:+.4f} nats per byte, interval {best.difference_low:+.4f} to {best.difference_high:+.4f}"
    if best.difference_low > 0:
        return f"The candidate expects the text better than {best.model}, the best baseline: {numbers}"
    if best.difference_high < 0:
        return f"The candidate expects the text worse than {best.model}, the best baseline: {numbers}"
    return f"The candidate and {best.model}, the best baseline, differ within chance: {numbers}"
