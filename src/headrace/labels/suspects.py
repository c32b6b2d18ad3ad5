"""Name the records whose label is probably wrong, for a person to look at. Optional: a project has it once it is in dvc.yaml.

Run by the DAG: python -m headrace.stages headrace.labels.suspects --splits data/splits --out reports/label_suspects.csv
"""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from headrace.dataset.schema import read_info
from headrace.errors import ConfigError
from headrace.evaluation.baselines import find_models
from headrace.labels.out_of_fold import choose_model, judged_classes, out_of_fold, read_labelled
from headrace.params import Out, Report, Section
from headrace.plugins import resolve
from headrace.storage.local import write_text

NAMED = 20
"""Suspects in the report; the table has all."""


class Params(Section):
    """Which classical model judges, and how many records."""

    model: str | None = None
    """A name of headrace/baselines/<task>.py that gives probabilities; null: the first that does."""
    config: dict[str, Any] = Field(default={})
    """Settings of the model, as `baseline.config`."""
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    """Each record is judged by a model fitted on the other folds."""
    max_records: Annotated[int, Field(ge=10)] = 10_000
    """Records looked at, drawn by `seed`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 17


class Suspect(Report):
    """One label that is probably wrong."""

    id: str
    split: str
    origin: str
    given: str
    suggested: str
    probability_given: float
    """Of the given class, by a model that has not seen the record."""
    probability_suggested: float


class SuspectsReport(Report):
    """reports/suspects.json."""

    headline: str
    model: str
    records: int
    """Records looked at."""
    suspects: int
    by_class: dict[str, int]
    """Suspects by given class."""
    not_judged: list[str]
    """Classes with fewer records than folds."""
    accuracy: float
    """Of the model against the given labels: a poor one suspects at random."""
    most_suspect: list[Suspect]


def run(params: Params, *, splits: Path, out: Out) -> SuspectsReport:
    """Judge all splits out of fold, rank by how little the given label is believed, write the table for review."""
    info = read_info(splits / "train")
    task = resolve("tasks", info.task, None, where="collect.task")
    models, config = find_models(info.task, (), params.config)
    name = choose_model(models, config, params.model, seed=params.seed)
    data = read_labelled(splits, task, max_records=params.max_records, seed=params.seed)
    classes = judged_classes(data.labels, params.folds)
    kept = np.flatnonzero(np.isin(data.labels, classes))
    labels = np.searchsorted(classes, data.labels[kept])
    probabilities = out_of_fold(data.features[kept], labels, models, config, name, folds=params.folds, seed=params.seed)
    found = []
    for at in issues(labels, probabilities):
        row, suggested = kept[at], int(probabilities[at].argmax())
        found.append(
            Suspect(
                id=data.ids[row],
                split=data.splits[row],
                origin=data.origins[row],
                given=info.classes[data.labels[row]],
                suggested=info.classes[classes[suggested]],
                probability_given=round(float(probabilities[at, labels[at]]), 4),
                probability_suggested=round(float(probabilities[at, suggested]), 4),
            )
        )
    _write(out, found)
    given = [suspect.given for suspect in found]
    return SuspectsReport(
        headline=f"{len(found):,} of {len(kept):,} labels are suspect, by {name.replace('_', ' ')}",
        model=name,
        records=len(kept),
        suspects=len(found),
        by_class={each: given.count(each) for each in info.classes if each in given},
        not_judged=[info.classes[label] for label in np.setdiff1d(data.labels, classes)],
        accuracy=round(float((probabilities.argmax(axis=1) == labels).mean()), 4),
        most_suspect=found[:NAMED],
    )


def issues(labels: np.ndarray, probabilities: np.ndarray) -> list[int]:
    """Positions of probably wrong labels, the least believed first (confident learning, Northcutt et al. 2021).

    Raises:
        ConfigError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise ConfigError("the stage `suspects` needs cleanlab. Install it with `pip install headrace[labels]`.") from None
    ranked = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(at) for at in ranked]


def _write(path: Path, found: list[Suspect]) -> None:
    """A table to be filled in: `label` and `why` are empty, and make it a source of corrections."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [name for name in Suspect.model_fields if name != "id"]
    writer.writerow(["id", "label", "why", *columns])
    for suspect in found:
        writer.writerow([suspect.id, "", "", *(getattr(suspect, name) for name in columns)])
    write_text(path, text.getvalue())
