"""Make a program out of a trained network and hold it against the network."""

from pathlib import Path

import torch
from torch import Tensor, nn

from headrace.errors import DataError, EngineError
from headrace.plugins import resolve
from headrace.training.candidate import WEIGHTS_NAME, load_candidate
from headrace.training.description import INFO_NAME, CandidateInfo
from headrace.training.export import PROGRAM_NAME, Program, as_function, export_program, largest_difference
from headrace.training.package import Packed, about_tolerance, check_probabilities, real_records
from headrace.training.program import open_program


def pack_network(folder: Path, examples: Path, *, tolerance: float, check_records: int, example_records: int) -> Packed:
    """Export the network of a model folder and compare it on the first records of `examples`.

    Raises:
        DataError: no torch weights, or what `load_candidate` and `real_records` raise.
        EngineError: program and network differ by more than `tolerance`, or the output is no probability of each class.
    """
    if folder.is_dir() and not (folder / WEIGHTS_NAME).exists():
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise DataError(
            f"{folder} holds {found}, but neither {WEIGHTS_NAME} nor model.onnx. An own trainer writes its model with "
            "headrace.training.candidate.write_candidate or headrace.training.onnx_candidate.write_onnx_candidate. "
            "docs/how-to/bring-your-own-trainer.md shows both."
        )
    module, info = load_candidate(folder)
    ids, inputs, numbers = real_records(examples, info, check_records)
    records = torch.from_numpy(numbers)
    content = export_program(module, records[:2], name=info.network.name)
    program = as_function(open_program(content, name=PROGRAM_NAME))
    return Packed(
        info=info,
        files={PROGRAM_NAME: content, **{name: (folder / name).read_bytes() for name in (INFO_NAME, WEIGHTS_NAME)}},
        packages=("numpy", "torch"),
        output=getattr(resolve("training", info.program, None, where="model.json: program"), "OUTPUT", "probabilities"),
        ids=ids,
        inputs=inputs,
        outputs=program(records[:example_records]).numpy(),
        difference=_check(program, module, records, info, tolerance=tolerance),
        compared_with="network",
    )


def _check(program: Program, module: nn.Module, records: Tensor, info: CandidateInfo, *, tolerance: float) -> float:
    check_probabilities(program(records).numpy(), len(records), info)
    difference = largest_difference(program, module, records)
    if not difference <= tolerance:
        raise EngineError(
            f"the exported program and the trained network differ by {difference:.2g} on {len(records)} records, more than "
            f"package.tolerance {tolerance:g}. Does the network draw random numbers, or keep state between calls?"
            f"{about_tolerance(info)}"
        )
    return difference
