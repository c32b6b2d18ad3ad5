"""Fit a scikit-learn model as the candidate: encode, fit, hold its program against it, predict, write. No torch, no pickle."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import EngineError, ParamsError
from headrace.params import Report
from headrace.plugins import resolve
from headrace.tasks.contract import targets_of
from headrace.training.encoding import KEY, to_numbers
from headrace.training.history import write_history
from headrace.training.importance import measure_importance
from headrace.training.job import Job
from headrace.training.onnx_candidate import write_onnx_candidate
from headrace.training.onnx_file import open_function
from headrace.training.options import TrainConfig
from headrace.training.outcomes import TOLERANCE, Outcome, outcome_of
from headrace.training.predict import BATCH_RECORDS, Predict, predict_splits

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

READ = {"trainer", "trainer_options", "seed", "encoding", "calibrate", "refit"}
"""Keys of section `train` that mean something to a fitted model."""


@dataclass(frozen=True)
class Lesson:
    """What there is to learn from."""

    x: Any
    """Encoded training records, put together by `join`."""
    y: np.ndarray
    """int64 (N,) in [0, classes), some classes may be missing; or float64 numbers to predict. Two different ones at least."""
    held_out: tuple[Any, np.ndarray] | None
    """x and y of the validation split; None after a refit, or where it has no records."""
    classes: int
    """0 where numbers are to be predicted."""
    seed: int
    calibrate: bool
    """`train.calibrate`."""


@dataclass(frozen=True)
class Estimator:
    """A fitted model."""

    program: bytes
    """ONNX: one input, encoded records (N, ...) as the task's `encode` gives them; one output, probabilities (N, K) float32, or
    predictions (N, 1) in the unit of the target."""
    answer: Callable[[Any], np.ndarray]
    """The fitted model's own answers (N, K) or (N, 1) to what `join` gives; the program is held against them."""
    parameters: int
    """Numbers that were fitted."""
    temperature: float | None = None
    """What scores are divided by before the softmax, where that was measured."""
    problems: Sequence[str] = ()
    """The solver's own words when it did not converge."""


class EstimatorReport(Report):
    """What reports/train.json says of a fitted model."""

    headline: str
    """For the terminal."""
    samples: int
    """Records fitted on, with augmented copies."""
    parameters: int
    """Numbers that were fitted."""
    train_loss: float
    """Log loss; of a number to predict the mean squared error, in squared deviations of the training targets."""
    validation_loss: float | None
    validation_accuracy: float | None
    encoding: dict[str, float] | None
    """What became of the training records as they were turned into numbers; null where they are numbers."""
    temperature: float | None
    largest_difference: float
    """Of a probability or a prediction, between the program and the fitted model."""
    problems: list[str]
    """The solver's own words when it did not converge."""
    not_read: list[str]
    """Keys of section `train` that say nothing to this trainer."""


def fit_candidate(
    params: TrainConfig,
    job: Job,
    fit: Callable[[Lesson], Estimator],
    *,
    fit_number: Callable[[Lesson], Estimator] | None = None,
    learn: Callable[["Task", Sequence[Path]], Mapping[str, Any]] | None = None,
    join: Callable[[Sequence[np.ndarray]], Any] = np.concatenate,
) -> EstimatorReport:
    """Fit on splits/train and `augmented`, and write what a trainer writes.

    Args:
        params: section `train`.
        job: where to read and write.
        fit: from records to a fitted model with its program.
        fit_number: the same for records with a number to predict; None: this trainer tells classes apart only.
        learn: the encoding of the task from training folders, as the task's `encode` takes it; None: records are numbers.
        join: puts encoded batches together, or what it has made of some; into a sparse matrix for instance.

    Raises:
        ParamsError: this trainer cannot learn what the task asks for.
        DataError: no records, labels of one class only or the same number everywhere, or labels outside of the classes.
        EngineError: the program does not agree with the fitted model.
    """
    splits, info = job.splits, read_info(job.splits / "train")
    task = resolve("tasks", info.task, None, where="collect.task")
    if not info.classes:
        if fit_number is None or not hasattr(task, "targets"):
            raise ParamsError(
                f"train.trainer '{params.trainer}' tells classes apart, and these records have none. Set it to network."
            )
        if params.calibrate:
            raise ParamsError("train.calibrate is about probabilities of classes, and these records have none. Set it to false.")
        fit = fit_number
    folders = [splits / "train", job.augmented, *([splits / "validation"] if params.refit else [])]
    not_read = sorted(params.model_fields_set - READ)
    if not_read:
        job.progress.say(f"train.{', train.'.join(not_read)}: not read by the trainer '{params.trainer}'")
    job.tracker.begin(job.fingerprint, params.model_dump(mode="json"))
    description = {KEY: learn(task, folders)} if learn is not None else {}
    x, y = _read(folders, task, description, join)
    outcome = outcome_of(task, info.classes, y, folders)
    checked = _read([splits / "validation"], task, description, join)
    outcome.check(checked[1], [splits / "validation"])
    measured = None if params.refit or not len(checked[1]) else checked
    with threadpool_limits(1):  # sums in one order on every machine
        found = fit(Lesson(x, y, measured, len(info.classes), params.seed, params.calibrate))
        answers = found.answer(checked[0]) if len(checked[1]) else np.zeros((0, outcome.width))
        train_loss, _ = outcome.measure(found.answer(x), y)
    program = open_function(found.program, name=f"the program of '{params.trainer}'")
    difference = _agreement(program, splits / "validation", task, description, answers, outcome, params.trainer)
    loss, accuracy = outcome.measure(answers, checked[1]) if measured is not None else (None, None)
    told = f"loss {train_loss:.4f}" if loss is None else f"validation loss {loss:.4f}"
    if accuracy is not None:
        told = f"validation accuracy {accuracy:.4f}"
    report = EstimatorReport(
        headline=f"{told}, {params.trainer} fitted on {len(y):,} records",
        samples=len(y),
        parameters=found.parameters,
        train_loss=train_loss,
        validation_loss=loss,
        validation_accuracy=accuracy,
        encoding=dict(description[KEY]["measured"]) if description else None,
        temperature=found.temperature,
        largest_difference=float(f"{difference:.1e}"),
        problems=list(found.problems),
        not_read=not_read,
    )
    row = {"train_loss": train_loss, "validation_loss": loss, "validation_accuracy": accuracy}
    course = {name: value for name, value in row.items() if value is not None}
    job.tracker.log(1, course)
    importance: Mapping[str, Any] = {}
    if not params.refit:
        importance = measure_importance(program, task, splits / "validation", description, seed=params.seed)
    write_onnx_candidate(
        job.model,
        found.program,
        data=info,
        name=params.trainer,
        options=params.trainer_options,
        description=description,
        parameters=found.parameters,
        ids=[each for table in iter_tables(splits / "validation", ["id"]) for each in table.column("id").to_pylist()],
        answers=answers,
        seed=params.seed,
        fingerprint=job.fingerprint,
        training={**report.model_dump(mode="json", exclude={"headline", "parameters"}), **importance},
    )
    names = ["test"] if params.refit else ["validation", "test"]
    predict_splits(program, {name: splits / name for name in names}, job.predictions, task, description=description)
    write_history(job.plots / "history.csv", [{"epoch": 1, **course}])
    return report


def _batches(folder: Path, task: "Task", description: Mapping[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    record = read_info(folder).record
    for table in iter_tables(folder):
        inputs, targets = task.inputs(table, record), targets_of(task, table, record)
        for start in range(0, len(inputs), BATCH_RECORDS):
            end = start + BATCH_RECORDS
            yield to_numbers(task, inputs[start:end], description), targets[start:end]


def _read(
    folders: Sequence[Path], task: "Task", description: Mapping[str, Any], join: Callable[[Any], Any]
) -> tuple[Any, np.ndarray]:
    parts: list[Any] = []
    targets: list[np.ndarray] = []
    for folder in folders:
        for x, y in _batches(folder, task, description):
            parts.append(join([x]))
            targets.append(y)
    return (join(parts) if parts else None), np.concatenate(targets) if targets else np.zeros(0, np.int64)


def _agreement(
    program: Predict,
    folder: Path,
    task: "Task",
    description: Mapping[str, Any],
    answers: np.ndarray,
    outcome: Outcome,
    trainer: str,
) -> float:
    """Largest difference of a number between the program and the fitted model's answers."""
    largest, worst, start = 0.0, 0.0, 0
    for x, _ in _batches(folder, task, description):
        expected, found = answers[start : start + len(x)], program(x)
        start += len(x)
        if found.shape != expected.shape or found.dtype != np.float32:
            raise EngineError(f"the program of '{trainer}' gives {found.dtype} {found.shape}, the fitted model {expected.shape}.")
        differences = np.abs(found - expected)
        if not np.isfinite(differences).all():
            largest = worst = float("inf")
            break
        largest, worst = max(largest, float(differences.max())), max(worst, float((differences / outcome.room(expected)).max()))
    if worst > TOLERANCE:
        raise EngineError(
            f"the program of '{trainer}' and the fitted model differ by {largest:.2g} in {outcome.called}, more than float32 explains. "
            "Does the model compare numbers that float32 cannot tell apart?"
        )
    return largest
