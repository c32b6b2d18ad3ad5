"""Open a program file, refusing with our errors what could run code; `pt2.py` has the checks."""

import torch
from torch.export import ExportedProgram

from headrace.errors import DataError
from headrace.training import pt2


def open_program(content: bytes, *, name: str) -> ExportedProgram:
    """The program in the bytes of a .pt2 file; `name` is for messages.

    Raises:
        DataError: the archive is damaged, or holds something that would run as code.
    """
    try:
        return pt2.open_program(content, name=name)
    except pt2.ProgramRefused as error:
        raise DataError(str(error)) from None
    except Exception as error:
        raise DataError(f"{name} cannot be opened by torch {torch.__version__}: {error}. Make the package again.") from error


def refuse_code(content: bytes, *, name: str) -> None:
    """Check that an archive holds tensors and a graph of tensor operators, and nothing else.

    Raises:
        DataError: it does not; the message says what was found.
    """
    try:
        pt2.refuse_code(content, name=name)
    except pt2.ProgramRefused as error:
        raise DataError(str(error)) from None
