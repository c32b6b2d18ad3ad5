"""Open a `torch.export` archive (.pt2) without letting it run code. Copied into every registered model, so it imports nothing of ours.

torch 2.13 runs what an archive brings in six places: pickled weights, constants and sample inputs; pickled custom objects;
compiled libraries; `guards_code`, which is Python source; symbolic sizes, which sympy evaluates; and operators, which are looked
up by any name below `torch`. A network of tensors needs none of them, so an archive that has one is refused before torch sees it.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveReader


class ProgramRefused(ValueError):
    """The archive is damaged, or holds something that would run as code."""


_RECORDS = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_OPERATORS = re.compile(
    r"torch\.ops\.aten\.(?!from_file)[A-Za-z0-9_]+\.[A-Za-z0-9_]+"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|getitem|and_|or_)|math\.(ceil|floor|trunc)"
)
_SYMPY = frozenset(
    # sympy's own, then torch's
    "Symbol Integer Float Rational Add Mul Pow Max Min Eq Ne Lt Le Gt Ge Equality Unequality LessThan StrictLessThan And Or Not "  # noqa: SIM905
    "GreaterThan StrictGreaterThan true false oo "
    "FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv PowByNatural FloatPow FloatTrueDiv "
    "IntTrueDiv TruncToFloat TruncToInt RoundToInt ToFloat Identity".split()
)
_SYMBOL = re.compile(r"[a-z]+\d*")


def open_program(content: bytes, *, name: str) -> ExportedProgram:
    """The program in the bytes of a .pt2 file; `name` is for messages.

    Raises:
        ProgramRefused: the archive is damaged, or holds something that would run as code.
        Exception: whatever torch raises, such as for an operator that this version does not have.
    """
    # Bytes, not a path: what is checked is what is loaded, whatever happens to the file meanwhile.
    refuse_code(content, name=name)
    return torch.export.load(io.BytesIO(content))


def open_function(content: bytes, *, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """`open_program` as a function of arrays."""
    program = open_program(content, name=name).module()

    def run(records: np.ndarray) -> np.ndarray:
        # A copy when read-only: torch warns of arrays it could write through.
        tensor = torch.from_numpy(records if records.flags.writeable else records.copy())
        with torch.inference_mode():
            found: np.ndarray = program(tensor).numpy()
            return found

    return run


def refuse_code(content: bytes, *, name: str) -> None:
    """Check that an archive holds tensors and a graph of tensor operators, and nothing else.

    Raises:
        ProgramRefused: it does not; the message says what was found.
    """
    try:
        # The reader that loading uses, so that both see the same archive.
        archive = PT2ArchiveReader(io.BytesIO(content))
        found = _first_code(archive, _names(archive, content))
    except (
        RuntimeError,
        AssertionError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise ProgramRefused(
            f"{name} is not a program that torch.export saved: {str(error)[:200]}. Make the package again."
        ) from None
    if found:
        raise ProgramRefused(
            f"{name} is refused: {found}, which runs as code when it is opened. Only use models whose origin you know."
        )


def _names(archive: PT2ArchiveReader, content: bytes) -> list[str]:
    records: list[str] = archive.get_file_names()
    with zipfile.ZipFile(io.BytesIO(content)) as plain:
        entries = [entry.partition("/")[2] for entry in plain.namelist()]
    # torch falls back to Python's zip reader when its own fails; an archive may show each of them something else.
    if sorted(entries) != sorted(records) or len(set(entries)) != len(entries):
        raise ValueError("two readers find different records in it")
    return records


def _first_code(archive: PT2ArchiveReader, records: list[str]) -> str:
    """What in the archive would run as code, in words; '' when nothing."""
    for record in records:
        if not _RECORDS.fullmatch(record):
            return f"it has a record '{record[:100]}'"
    if archive.read_bytes("data/sample_inputs/model.pt"):
        return "it has pickled sample inputs"
    for config in _CONFIGS:
        for payload in json.loads(archive.read_bytes(config))["config"].values():
            if payload["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
                return f"it has the pickled payload '{payload['path_name'][:100]}'"
    program = json.loads(archive.read_bytes("models/model.json"))
    if program.get("guards_code"):
        return "it has guards in Python"
    return next(_code_in(program), "")


def _code_in(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _code_in(each)
    elif isinstance(node, dict):
        target, expression = node.get("target"), node.get("expr_str")
        if isinstance(target, str) and "inputs" in node and not _OPERATORS.fullmatch(target):
            yield f"it calls '{target[:100]}'"
        if isinstance(expression, str) and not _is_arithmetic(expression):
            yield f"it has the size expression '{expression[:100]}'"
        if node.get("as_custom_obj") or node.get("as_operator"):
            yield "it has a custom object"
        for each in node.values():
            yield from _code_in(each)


def _is_arithmetic(expression: str) -> bool:
    """Whether a symbolic size is built of numbers, symbols and arithmetic only."""
    for node in ast.walk(ast.parse(expression, mode="eval")):
        match node:
            case ast.Expression() | ast.keyword() | ast.Load() | ast.UnaryOp() | ast.BinOp() | ast.Compare():
                continue
            case ast.operator() | ast.unaryop() | ast.cmpop():
                continue
            case ast.Call(func=ast.Name(id=word)) if word in _SYMPY:
                continue
            case ast.Name(id=word) if word in _SYMPY or _SYMBOL.fullmatch(word):
                continue
            case ast.Constant(value=int() | float()):
                continue
            case ast.Constant(value=str(word)) if _SYMBOL.fullmatch(word):
                continue
        return False
    return True
