"""A package as a function of raw records: what they need to become numbers happens here, as in training."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.plugins import resolve
from headrace.storage.manifest import verify
from headrace.training.description import INFO_NAME
from headrace.training.encoding import KEY, to_numbers

Predictor = Callable[[Sequence[Any] | np.ndarray], np.ndarray]
"""Raw records (N), such as texts, rows (mappings or a frame) or uint8 pictures (N, H, W, C), to probabilities (N, K) float32."""


def load_predictor(package: Path) -> Predictor:
    """The predictor of a package folder, after the folder was checked against its manifest and the program for code.

    Raises:
        DataError: a file was changed, or the program holds something that would run as code.
    """
    program = _load(package)
    info = json.loads((package / INFO_NAME).read_text(encoding="utf-8"))
    task = resolve("tasks", info["task"], None, where="model.json: task")
    description = info["description"]

    def predict(records: Sequence[Any] | np.ndarray) -> np.ndarray:
        if hasattr(records, "to_dict"):
            records = records.to_dict("records")
        if KEY in description:
            raw = np.empty(len(records), dtype=object)
            raw[:] = list(records)
        else:
            raw = np.asarray(records)
        return program(to_numbers(task, raw, description))

    return predict


def _load(package: Path) -> Callable[[np.ndarray], np.ndarray]:
    # Each kind imports what opens it: a linear model is served without torch.
    if "model.onnx" in verify(package):
        from headrace.training.onnx_candidate import PROGRAM_NAME, open_checked

        return open_checked((package / PROGRAM_NAME).read_bytes(), name=str(package / PROGRAM_NAME))
    from headrace.training.export import load_program

    program = load_program(package)
    import torch

    def run(inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray = program(torch.tensor(inputs)).numpy()
        return found

    return run
