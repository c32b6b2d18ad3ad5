"""Package folders: read and verified before anything in them is used, and laid out as an MLflow model for the registry."""

import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.dataset.schema import INFO_NAME
from headrace.dataset.shards import iter_tables
from headrace.errors import RegistryError
from headrace.plugins import resolve
from headrace.registry import pyfunc
from headrace.storage.local import write_bytes
from headrace.tracking.evidence import PROVENANCE

REQUIRED = ("model.json", "signature.json", "input_example.json", "requirements.txt")

TRAINED_IDS = "trained_ids.txt.gz"
"""Beside the package in the registry: the records it was trained or tuned on, so that a later comparison can leave them out."""

ID_DIGITS = 16
"""64 bits of an id: among a million records two share them with a chance of 1 in 10^7."""

_LOADER = "headrace_package_5"
"""Module name of `pyfunc.py` inside a registered model; another number when it changes what it does, because one process can have models
of several ages open."""

OPENERS = {"model.pt2": "pt2", "model.onnx": "onnx_file"}
"""Module of headrace/training that opens a program; inside a registered model it has the name that `pyfunc.py` knows."""

_TASK = "headrace_task_"
"""The task's own module inside a registered model whose records are no numbers, with the digest of its code."""


@dataclass(frozen=True, slots=True)
class Package:
    """A verified package folder."""

    folder: Path
    digest: str
    """sha256 of its manifest, which has the sha256 of every file."""
    model: dict[str, Any]
    """model.json."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the training it came from."""
        return str(self.model.get("fingerprint", ""))


def read_package(folder: Path) -> Package:
    """Verify a package folder.

    Raises:
        RegistryError: a file is missing, changed, or not understood.
    """
    try:
        digest = pyfunc.verify_manifest(folder)
    except pyfunc.ManifestError as error:
        raise RegistryError(f"{error}. It is not used. `headrace run --stage package --force` makes it anew.") from None
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    missing += [] if any((folder / name).is_file() for name in pyfunc.PROGRAMS) else [" or ".join(pyfunc.PROGRAMS)]
    if missing:
        raise RegistryError(f"{folder} lacks {', '.join(missing)}: without it nobody can serve the model. Rerun `package`.")
    try:
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise RegistryError(f"{folder / 'model.json'} is not JSON: {error}. Rerun `package`.") from None
    return Package(folder, digest, model)


GZIP = b"\x1f\x8b"


def trained_ids(splits: Path) -> list[str]:
    """Sorted id prefixes of all that a candidate of these splits has seen: train, and validation, which chose its epoch."""
    seen: set[str] = set()
    for split in ("train", "validation"):
        if (splits / split / INFO_NAME).exists():
            for table in iter_tables(splits / split, ["id"]):
                seen.update(record_id[:ID_DIGITS] for record_id in table.column("id").to_pylist())
    return sorted(seen)


def write_ids(path: Path, ids: Sequence[str]) -> None:
    """One id prefix a line, gzipped without a clock."""
    write_bytes(path, gzip.compress("".join(f"{each}\n" for each in ids).encode(), mtime=0))


def read_ids(path: Path) -> frozenset[str]:
    """What `write_ids` wrote, also where it has been unpacked on the way: MLflow stores *.gz in S3 as encoded, and clients decode that."""
    content = path.read_bytes()
    return frozenset((gzip.decompress(content) if content.startswith(GZIP) else content).decode().split())


def unseen(ids: Sequence[str], trained: frozenset[str]) -> tuple[np.ndarray, int]:
    """Positions of the records that are not among those of `read_ids`, and how many are."""
    seen = np.array([record_id[:ID_DIGITS] in trained for record_id in ids], dtype=bool)
    return np.flatnonzero(~seen), int(seen.sum())


def task_encode(task_name: str) -> Callable[..., np.ndarray]:
    """`encode` of a task whose records are no numbers.

    Raises:
        RegistryError: the task has none.
    """
    task = resolve("tasks", task_name, None, where="model.json: task")
    if not hasattr(task, "encode"):
        raise RegistryError(f"task {task_name} has no `encode`, which this model needs: its code is older than the model.")
    found: Callable[..., np.ndarray] = task.encode
    return found


def lay_out(
    package: Package, ids: Sequence[str], folder: Path, *, model_id: str, provenance: Mapping[str, bytes] | None = None
) -> None:
    """Write an MLflow model around a package: the package as it is, what it was made from, a loader, and MLmodel.

    MLflow's `save_model` would run the loader, infer requirements in subprocesses and write this machine's paths into MLmodel.
    """
    from mlflow.models import Model

    shutil.copytree(package.folder, folder / "package")
    write_ids(folder / TRAINED_IDS, ids)
    for name, content in (provenance or {}).items():
        write_bytes(folder / PROVENANCE / name, content)
    (folder / "code").mkdir()
    shutil.copyfile(Path(pyfunc.__file__), folder / "code" / f"{_LOADER}.py")
    program = pyfunc.program_file(package.folder)
    checks = Path(pyfunc.__file__).parents[1] / "training" / f"{OPENERS[program]}.py"
    shutil.copyfile(checks, folder / "code" / f"{pyfunc.PROGRAMS[program]}.py")
    if pyfunc.encoding_of(package.folder) is not None:
        code = Path(str(sys.modules[task_encode(package.model["task"]).__module__].__file__)).read_bytes()
        write_bytes(folder / "code" / f"{_TASK}{hashlib.sha256(code).hexdigest()[:16]}.py", code)
    python = ".".join(str(part) for part in sys.version_info[:3])
    shutil.copyfile(package.folder / "requirements.txt", folder / "requirements.txt")
    environment = {
        "python": python,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "python_env.yaml").write_text(json.dumps(environment), encoding="utf-8")  # JSON is YAML
    flavor = {
        "loader_module": _LOADER,
        "code": "code",
        "data": "package",
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": python,
    }
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    described = Model(signature=_signature(package.model), model_id=model_id, model_size_bytes=size)
    described.add_flavor("python_function", **flavor)
    described.save(str(folder / "MLmodel"))


def _signature(model: dict[str, Any]) -> Any:
    """MLflow's signature from model.json; None where records have no fixed shape."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    record, classes = model.get("record", {}), model.get("classes", [])
    if record.get("dtype") == "string" and not classes:
        rows = Schema([TensorSpec(np.dtype("float32"), (-1, -1))])
        return ModelSignature(Schema([ColSpec("string", name=str(record["payload"]))]), rows)
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, len(classes) or 1))])
    if record.get("columns"):
        # Any type: a cell as a CSV file holds it, such as " " for a number that is not there, is read as in training.
        anything = AnyType()  # type: ignore[no-untyped-call]  # MLflow has no type for it
        columns = [column["name"] for column in record["columns"] if column["feature"]]
        return ModelSignature(Schema([ColSpec(anything, name=name, required=False) for name in columns]), outputs)
    if record.get("dtype") == "string" and classes:
        return ModelSignature(Schema([ColSpec("string", name=str(record["payload"]))]), outputs)
    if not record.get("shape") or not classes:
        return None
    inputs = TensorSpec(np.dtype(record.get("dtype", "float32")), (-1, *record["shape"]))
    return ModelSignature(Schema([inputs]), outputs)
