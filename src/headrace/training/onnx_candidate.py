"""A model folder without torch: model.onnx, model.json, and what the fitted model itself answers to some validation records.

The fitted model is not kept, because that takes pickle. `package` holds the program against its answers instead.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.dataset.schema import DatasetInfo
from headrace.errors import DataError
from headrace.storage.local import write_bytes, write_json, write_text
from headrace.training.description import INFO_NAME, CandidateInfo, NetworkInfo, read_candidate_info
from headrace.training.onnx_file import ProgramRefused, open_function
from headrace.training.predict import Predict

PROGRAM_NAME = "model.onnx"
PROGRAM = "onnx"
"""What model.json says as `program`."""
ANSWERS_NAME = "answers.json"
"""Of the fitted model, float64, by id."""
MAX_ANSWERS = 1000


@dataclass(frozen=True)
class OnnxCandidate:
    """A model folder that was read."""

    info: CandidateInfo
    content: bytes
    """Of model.onnx."""
    program: Predict
    ids: list[str]
    answers: np.ndarray
    """Of the fitted model, (len(ids), K) float64."""


def write_onnx_candidate(
    folder: Path,
    content: bytes,
    *,
    data: DatasetInfo,
    name: str,
    options: Mapping[str, Any],
    description: Mapping[str, Any],
    parameters: int,
    ids: Sequence[str],
    answers: np.ndarray,
    seed: int | None = None,
    fingerprint: str = "",
    training: Mapping[str, Any] | None = None,
) -> CandidateInfo:
    """Write a model folder.

    Args:
        folder: made if missing.
        content: ONNX: one input, encoded records (N, ...); one output, float32 probabilities (N, K).
        data: dataset.json of the training data: task, classes and record are taken from it.
        name: of the trainer.
        options: its options.
        description: how records become numbers: `encoding`, for a task that learns one; else empty.
        parameters: numbers that were fitted.
        ids: validation records; at most MAX_ANSWERS are kept.
        answers: what the fitted model, not the program, says of them (N, K).
        seed: of the fitting.
        fingerprint: of its inputs.
        training: what should be remembered.

    Raises:
        DataError: the program is refused by its own checks.
    """
    open_checked(content, name=f"the program of '{name}'")
    info = CandidateInfo(
        task=data.task,
        classes=data.classes,
        record=data.record,
        network=NetworkInfo(name=name, options=dict(options)),
        program=PROGRAM,
        description=dict(description),
        parameters=parameters,
        seed=seed,
        fingerprint=fingerprint,
        training=dict(training or {}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / PROGRAM_NAME, content)
    write_json(folder / INFO_NAME, info.model_dump(mode="json"))
    kept = dict(zip(ids[:MAX_ANSWERS], np.asarray(answers, np.float64)[:MAX_ANSWERS].tolist(), strict=True))
    lines = [f"{json.dumps(key)}: {json.dumps(row)}" for key, row in kept.items()]
    write_text(folder / ANSWERS_NAME, "{\n" + ",\n".join(lines) + "\n}\n")
    return info


def read_onnx_candidate(folder: Path) -> OnnxCandidate:
    """Read a model folder; the program is checked before it is opened.

    Raises:
        DataError: a file is missing or damaged, or the program is refused.
    """
    info = read_candidate_info(folder)
    try:
        content = (folder / PROGRAM_NAME).read_bytes()
        answers: dict[str, list[float]] = json.loads((folder / ANSWERS_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {Path(str(error.filename)).name}. Run the stage `train` again.") from None
    except ValueError as error:
        raise DataError(f"{folder / ANSWERS_NAME} is not JSON ({error}). `dvc checkout -f {folder}` brings it back.") from None
    program = open_checked(content, name=str(folder / PROGRAM_NAME))
    return OnnxCandidate(info, content, program, list(answers), np.array(list(answers.values()), np.float64))


def open_checked(content: bytes, *, name: str) -> Predict:
    """The program in the bytes of an ONNX file; `name` is for messages.

    Raises:
        DataError: it is damaged, reaches beyond itself, or onnxruntime cannot open it.
    """
    try:
        return open_function(content, name=name)
    except ProgramRefused as error:
        raise DataError(str(error)) from None
    except Exception as error:
        raise DataError(f"{name} cannot be opened by onnxruntime: {str(error)[:300]}. Make it again.") from error
