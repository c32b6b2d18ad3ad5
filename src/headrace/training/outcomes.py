"""What a fitted model is to give for a record, a class or a number: what cannot be learnt from, and how good answers are. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from headrace.errors import DataError

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

TOLERANCE = 1e-5
"""How far apart the program, in float32, and the fitted model may be: of a probability, or of how far a prediction is from the mean."""


class Outcome(Protocol):
    """Classes or numbers."""

    width: int
    """Numbers of one answer."""
    called: str
    """One of them, in words."""

    def check(self, targets: np.ndarray, folders: Sequence[Path]) -> None:
        """Refuse targets of any split that no record may have.

        Raises:
            DataError: there are such.
        """

    def check_variety(self, targets: np.ndarray, folder: Path) -> None:
        """Refuse training targets that are all the same.

        Raises:
            DataError: they are.
        """

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> tuple[float, float | None]:
        """Mean loss, and accuracy where there is one, of answers (N, width)."""

    def room(self, answers: np.ndarray) -> np.ndarray | float:
        """What a difference from each of the fitted model's answers is divided by before it is held against TOLERANCE."""


def outcome_of(task: "Task", classes: Sequence[str], targets: np.ndarray, folders: Sequence[Path]) -> Outcome:
    """What is to be learnt from the targets of the training records, as the task gives them.

    Args:
        task: of the data.
        classes: of the data set.
        targets: of the training records (N,).
        folders: where they are from, for messages.

    Raises:
        DataError: nothing can be learnt from them.
    """
    outcome: Outcome = Numbers.of(targets) if hasattr(task, "targets") else Classes(classes)
    outcome.check(targets, folders)
    if not len(targets):
        raise DataError(
            f"{', '.join(map(str, folders))}: no records. Run the stages before again, or look at the params of split."
        )
    outcome.check_variety(targets, folders[0])
    return outcome


class Classes:
    """Labels in [0, K); answers are probabilities (N, K)."""

    called = "a probability"

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.width = names, len(names)

    def check(self, targets: np.ndarray, folders: Sequence[Path]) -> None:
        """Refuse labels outside of the classes."""
        outside = targets[(targets < 0) | (targets >= self.width)]
        if outside.size:
            raise DataError(
                f"{', '.join(map(str, folders))}: {outside.size} records with label {outside[0]}, outside the {self.width} classes "
                "of the data set. `validate` quarantines such records; rerun it."
            )

    def check_variety(self, targets: np.ndarray, folder: Path) -> None:
        """Refuse one class."""
        if len(np.unique(targets)) < 2:
            raise DataError(
                f"the {len(targets)} training records of {folder} all belong to class '{self.names[int(targets[0])]}': nothing can be "
                "learned from one class. Add records of another class."
            )

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> tuple[float, float | None]:
        """Log loss and accuracy."""
        right = np.asarray(answers, np.float64)[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(right, 1e-12)).mean()), float((answers.argmax(axis=1) == targets).mean())

    def room(self, answers: np.ndarray) -> float:  # noqa: ARG002  # the contract's argument
        """Probabilities are compared as they are."""
        return 1.0


@dataclass(frozen=True)
class Numbers:
    """Targets in the unit of the data; answers are predictions (N, 1) in the same."""

    mean: float
    std: float
    """Of the training targets."""
    width = 1
    called = "a prediction"

    @classmethod
    def of(cls, targets: np.ndarray) -> "Numbers":
        """Measured on training targets."""
        return cls(float(targets.mean()), float(targets.std())) if len(targets) else cls(0.0, 1.0)

    def check(self, targets: np.ndarray, folders: Sequence[Path]) -> None:
        """Refuse what is missing or infinite."""
        wild = int((~np.isfinite(targets)).sum())
        if wild:
            raise DataError(
                f"{', '.join(map(str, folders))}: {wild} records have a target that is missing or not finite. `validate` quarantines such "
                "records; rerun it."
            )

    def check_variety(self, targets: np.ndarray, folder: Path) -> None:
        """Refuse one number."""
        if self.std <= 1e-12 * abs(self.mean):
            raise DataError(
                f"all {len(targets)} training records of {folder} have the target {self.mean:g}: there is nothing to learn. Collect "
                "records of other values."
            )

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> tuple[float, float | None]:
        """Mean squared error in squared deviations of the training targets, as a network's `mse`; there is no accuracy."""
        return float(np.square((answers[:, 0] - targets) / self.std).mean()), None

    def room(self, answers: np.ndarray) -> np.ndarray:
        """A deviation, and how far from the mean; of numbers far from zero also what float32 cannot tell apart."""
        found: np.ndarray = self.std + np.abs(answers - self.mean) + np.abs(answers) * (np.finfo(np.float32).eps / TOLERANCE)
        return found
