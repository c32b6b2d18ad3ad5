"""Train the candidate and write its model folder, its predictions and the course of the training.

Run by the DAG: python -m headrace.stages train --splits data/splits --augmented data/augmented --initial models/initial
    --model models/candidate --predictions reports/predictions.parquet --plots reports/plots/train
"""

from pathlib import Path

from headrace.listening import Progress, Tracker
from headrace.params import Out, Report
from headrace.plugins import resolve
from headrace.training.job import Job
from headrace.training.options import TrainConfig


class Params(TrainConfig):
    """Section `train` of params.yaml."""


def run(
    params: Params,
    *,
    splits: Path,
    augmented: Path,
    model: Out,
    predictions: Out,
    plots: Out,
    initial: Path | None = None,
    fingerprint: str,
    scratch: Path,
    device: str,
    progress: Progress,
    tracker: Tracker,
) -> Report:
    """Hand over to the trainer that `train.trainer` names."""
    train = resolve("trainers", params.trainer, "train", where="train.trainer")
    job = Job(splits, augmented, model, predictions, plots, fingerprint, scratch, device, progress, tracker, initial)
    report: Report = train(params, job)
    return report
