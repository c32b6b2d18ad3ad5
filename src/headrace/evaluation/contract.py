"""What an evaluation is: a module of this room, named by `evaluate.evaluation`, that turns saved predictions into a judgement."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headrace.errors import DataError
from headrace.evaluation.significance import Comparison
from headrace.params import Section

MODEL_FORMAT = 1


@dataclass(frozen=True)
class Judgement:
    """What was measured on the test split."""

    records: int
    digest: str
    """sha256 of the ids and labels that were judged."""
    score_name: str
    """The metric that is the mean of `scores`, such as 'accuracy'."""
    scores: np.ndarray
    """Score of the candidate on each record, shape (records,); bool or float, higher is better."""
    baseline_scores: dict[str, np.ndarray]
    """The same of each baseline, on the same records in the same order."""
    metrics: dict[str, float | None]
    """None where a metric is undefined; `notes` says why."""
    notes: list[str]
    details: dict[str, Any]
    """Tables for readers and for the page, JSON values only."""
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Curves for `dvc plots`, by file name without suffix; rows of one table share their keys."""


class Evaluation(Protocol):
    """A module of this room."""

    Options: type[Section]
    """Typed options (`evaluate.options` in params.yaml)."""

    def judge(self, predictions: Path, baselines: Path, model: dict[str, Any], options: Any) -> Judgement:
        """Score saved predictions; `model` is model.json. Raises DataError for predictions that cannot be trusted."""

    def draw(
        self, judged: Judgement, interval: tuple[float, float], comparison: list[Comparison], folder: Path
    ) -> dict[str, str]:
        """Write one PNG per figure into an existing folder; returns each figure's title by file name without suffix.

        `interval` is of the candidate's mean score.
        """


def read_model(path: Path) -> dict[str, Any]:
    """model.json of a candidate, whoever trained it.

    Raises:
        DataError: it is missing, or has no task or another format.
    """
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: there is no candidate to judge. Run `train`.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}). Rerun `train`.") from None
    if not isinstance(model, dict) or model.get("format") != MODEL_FORMAT or not isinstance(model.get("task"), str):
        raise DataError(f"{path} is no model.json of format {MODEL_FORMAT} with a task. Rerun `train`, or write these keys.")
    return model
