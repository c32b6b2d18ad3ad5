"""What a trainer is: a module of this room with `train` and, where it has options, `Options`; or a `module:function` of your own.

It writes a model folder and predictions.parquet; `evaluate` and everything after it read only those. Its file is a dep of the stage
`train` for the recipes that name it and for no other, and so are the packages that it imports: a new scikit-learn retrains no network.
"""

from typing import Protocol

from headrace.params import Report
from headrace.training.job import Job
from headrace.training.options import TrainConfig


class Trainer(Protocol):
    """A module of headrace/trainers."""

    def train(self, params: TrainConfig, job: Job) -> Report:
        """Write what `job` names; the report has a `headline`."""
