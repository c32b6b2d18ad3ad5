"""A trained network as a program file: `torch.export` with any batch size, the same bytes for the same network."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from headrace.errors import DataError
from headrace.storage.manifest import verify
from headrace.training.program import open_program, refuse_code

PROGRAM_NAME = "model.pt2"

Program = Callable[[Tensor], Tensor]
"""Raw records (N, ...) to probabilities (N, K) float32, for any N >= 1."""


def export_program(module: nn.Module, example: Tensor, *, name: str) -> bytes:
    """The bytes of a .pt2 file that computes what `module` computes.

    Stack traces are left out: they hold this machine's paths. So are example inputs, which would be pickled.

    Args:
        module: in evaluation mode, on the CPU; one tensor (N, ...) in, one out.
        example: at least two records; a batch of one would be taken for a constant.
        name: of the network, for messages.

    Raises:
        DataError: the module cannot be exported for any batch size.
    """
    if len(example) < 2:
        raise ValueError("export_program needs two records: one does not show which dimension is the batch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.export warns of its own deprecations
            program = torch.export.export(module, (example,), dynamic_shapes=({0: Dim("batch", min=1)},), strict=False)
    except Exception as error:
        raise DataError(
            f"network '{name}' cannot be exported for any batch size: {str(error).strip()[:600]}. "
            "Its forward must not branch on values, nor on the batch size."
        ) from error
    _strip(program)
    content = io.BytesIO()
    torch.export.save(program, content)
    refuse_code(content.getvalue(), name=f"network '{name}'")
    return content.getvalue()


def _strip(program: ExportedProgram) -> None:
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in ("stack_trace", "from_node", "nn_module_stack", "source_fn_stack", "torch_fn"):
                    node.meta.pop(key, None)
    program._example_inputs = None  # noqa: SLF001  # no public way
    # Guards are Python source and repeat what the graph asserts about its input.
    program._guards_code = []  # noqa: SLF001


def as_function(program: ExportedProgram) -> Program:
    """The program as a function without gradients."""
    module = program.module()

    def run(records: Tensor) -> Tensor:
        with torch.inference_mode():
            probabilities: Tensor = module(records)
            return probabilities

    return run


def load_program(package: Path) -> Program:
    """The program of a package folder, after the folder was checked against its manifest and the file for code.

    Raises:
        DataError: a file was changed, or the archive holds something that would run as code.
    """
    listed = verify(package)
    path = package / PROGRAM_NAME
    if PROGRAM_NAME not in listed:
        raise DataError(f"{package} has no {PROGRAM_NAME}: it is not a package. Run the stage `package`.")
    return as_function(open_program(path.read_bytes(), name=str(path)))


def largest_difference(program: Program, module: nn.Module, records: Tensor) -> float:
    """Largest absolute difference between program and module: all records at once, some by sevens, some one by one."""
    # Few small batches: on loaded cores a call of a small network takes as long as one of a large batch.
    batches = [records, *torch.split(records[:28], 7), *torch.split(records[:4], 1)]
    largest = 0.0
    with torch.inference_mode():
        for batch in batches:
            difference = (program(batch) - module(batch)).abs().max().item()
            # NaN compares false with everything; it must count as the worst, not as nothing.
            largest = max(largest, difference) if difference == difference else float("inf")
    return largest
