"""Serve a package folder through MLflow's `pyfunc`: copied into every registered model, so it may import nothing of ours.

MLflow calls `_load_pyfunc` with the package's folder. Where records are no numbers, the task's own module is copied too, and raw texts
become numbers as in training. No pickle is involved: the program is a `torch.export` archive or an ONNX file. The manifest is
verified before it is opened, and the file is refused when it holds what would run as code or reach other files; `training/pt2.py` or
`training/onnx_file.py`, which know that, are copied beside this file.
"""

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class ManifestError(Exception):
    """The folder is not what its manifest says."""


def verify_manifest(folder: Path) -> str:
    """Check every file of a package against manifest.json; returns the digest of the manifest, hex.

    Raises:
        ManifestError: no manifest, a file missing, changed or not listed, or a name that leads outside.
    """
    try:
        content = (folder / "manifest.json").read_bytes()
        files = json.loads(content)["files"]
        listed = {name: (each["sha256"], each["bytes"]) for name, each in files.items()}
    except FileNotFoundError:
        raise ManifestError(f"{folder} has no manifest.json") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{folder / 'manifest.json'} is not a manifest: {error!r}") from None
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {"manifest.json"}
    for name in sorted(present ^ set(listed)):
        raise ManifestError(f"{folder}: {name} is {'not in the manifest' if name in present else 'missing'}")
    for name, (sha256, size) in sorted(listed.items()):
        path = folder / name
        if path.is_symlink() or path.stat().st_size != size:
            raise ManifestError(f"{folder}: {name} has {path.stat().st_size} bytes, the manifest says {size}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ManifestError(f"{folder}: the content of {name} has changed since it was packaged")
    return hashlib.sha256(content).hexdigest()


PROGRAMS = {"model.pt2": "headrace_pt2_4", "model.onnx": "headrace_onnx_1"}
"""Files that hold a program, and the module beside this one that opens it; another number when one changes what it does, because one
process can have models of several ages open."""


class PackagedModel:
    """A verified package ready to predict.

    Args:
        folder: of the package.
        open_function: `open_function(content, name=...)` makes a function of arrays out of the bytes of the program, or refuses them.
        encode: `encode(inputs, encoding)` of the task, where the model has an encoding.
    """

    def __init__(self, folder: Path, open_function: Callable[..., Any], encode: Callable[..., Any] | None = None) -> None:
        verify_manifest(folder)
        path = folder / program_file(folder)
        self._encode, self._encoding = encode, encoding_of(folder)
        self._by_row = "columns" in json.loads((folder / "model.json").read_text(encoding="utf-8")).get("record", {})
        self._program = open_function(path.read_bytes(), name=str(path))

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002 - MLflow's signature
        """Probabilities (N, K) float32 for inputs (N, ...) as the package's signature says; also a frame, of one column or of rows."""
        import numpy as np

        if hasattr(model_input, "columns"):
            model_input = model_input.to_dict("records") if self._by_row else model_input.iloc[:, 0].to_numpy()
        if self._encode is None:
            return self._program(np.ascontiguousarray(model_input))
        raw = np.empty(len(model_input), dtype=object)
        raw[:] = list(model_input)
        return self._program(self._encode(raw, self._encoding))


def program_file(folder: Path) -> str:
    """Which of PROGRAMS a package has.

    Raises:
        ManifestError: none.
    """
    for name in PROGRAMS:
        if (folder / name).is_file():
            return name
    raise ManifestError(f"{folder} has neither {' nor '.join(PROGRAMS)}")


def encoding_of(folder: Path) -> dict[str, Any] | None:
    """What model.json says of how records become numbers; None where they are numbers."""
    path = folder / "model.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")).get("description", {}).get("encoding")
    return found


def _load_pyfunc(path: str) -> PackagedModel:
    opener = importlib.import_module(PROGRAMS[program_file(Path(path))])
    encode = _encode_beside(Path(path)) if encoding_of(Path(path)) is not None else None
    return PackagedModel(Path(path), opener.open_function, encode)


def _encode_beside(package: Path) -> Callable[..., Any]:
    # From this model's own folder, whichever model of the process brought this file: another one may be of another task or age.
    (code,) = (package.parent / "code").glob("headrace_task_*.py")
    spec = importlib.util.spec_from_file_location(code.stem, code)
    if spec is None or spec.loader is None:
        raise ManifestError(f"{code} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = module.encode
    return found
