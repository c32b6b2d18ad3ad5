"""Hold the ONNX program of a model folder against what the fitted model said, on real records."""

from pathlib import Path

import numpy as np

from headrace.errors import EngineError
from headrace.training.description import INFO_NAME
from headrace.training.onnx_candidate import ANSWERS_NAME, PROGRAM_NAME, OnnxCandidate, read_onnx_candidate
from headrace.training.package import Packed, about_tolerance, check_probabilities, real_records
from headrace.training.predict import Predict

PACKAGES = ("numpy", "onnx", "onnxruntime")
"""What opening and calling the program needs; onnx reads the file before onnxruntime does."""


def pack_onnx(folder: Path, examples: Path, *, tolerance: float, check_records: int, example_records: int) -> Packed:
    """Open the program of a model folder and compare it on the first records of `examples`: all at once, by sevens, one by one.

    Raises:
        DataError: what `read_onnx_candidate` and `real_records` raise.
        EngineError: program and fitted model differ by more than `tolerance`, or the output is no probability of each class.
    """
    candidate = read_onnx_candidate(folder)
    info, program = candidate.info, candidate.program
    ids, inputs, records = real_records(examples, info, check_records)
    check_probabilities(program(records), len(records), info)
    difference = _largest_difference(program, records, _expected(candidate, ids, folder))
    if not difference <= tolerance:
        raise EngineError(
            f"the program and the fitted model differ by {difference:.2g} on {len(records)} records, more than package.tolerance "
            f"{tolerance:g}. Run the stage `train` again; does the model compare numbers that float32 cannot tell apart?"
            f"{about_tolerance(info)}"
        )
    return Packed(
        info=info,
        files={PROGRAM_NAME: candidate.content, INFO_NAME: (folder / INFO_NAME).read_bytes()},
        packages=PACKAGES,
        output="probabilities" if info.classes else "predicted",
        ids=ids,
        inputs=inputs,
        outputs=program(records[:example_records]),
        difference=difference,
        compared_with="fitted model",
    )


def _expected(candidate: OnnxCandidate, ids: list[str], folder: Path) -> np.ndarray:
    places = {each: place for place, each in enumerate(candidate.ids)}
    if any(each not in places for each in ids):
        missing = next(each for each in ids if each not in places)
        raise EngineError(
            f"{folder / ANSWERS_NAME} does not have record {missing[:16]}: the model was trained on other splits, or "
            f"package.check_records is above {len(candidate.ids)}. Run the stage `train` again, or lower it."
        )
    return candidate.answers[[places[each] for each in ids]]


def _largest_difference(program: Predict, records: np.ndarray, expected: np.ndarray) -> float:
    largest = 0.0
    for size, until in ((len(records), len(records)), (7, 28), (1, 4)):
        for start in range(0, min(until, len(records)), size):
            part = slice(start, min(start + size, until))
            difference = float(np.abs(program(records[part]) - expected[part]).max())
            # NaN compares false with everything; it must count as the worst, not as nothing.
            largest = max(largest, difference) if difference == difference else float("inf")
    return largest
