"""manifest.json: size and sha256 of every file of a folder, so that whoever uses it knows that nothing was changed on the way."""

import json
from pathlib import Path
from typing import Any

from headrace.errors import DataError
from headrace.fingerprint import file_sha256
from headrace.storage.local import write_json

NAME = "manifest.json"


def write_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Describe all files of a finished folder in its manifest.json; returns {name: {"sha256": hex, "bytes": n}}."""
    files = {name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in _present(folder)}
    write_json(folder / NAME, {"format": 1, "files": files})
    return files


def verify(folder: Path) -> dict[str, dict[str, Any]]:
    """Check a folder against its manifest; returns the manifest's files.

    Raises:
        DataError: no manifest, or a file is missing, changed, not listed, or a link; the message names it.
    """
    files = _read(folder)
    present = _present(folder)
    for name in sorted(present ^ set(files)):
        found = "is not in the manifest" if name in present else "is missing"
        raise DataError(f"{folder / name} {found}. {_MEND.format(folder=folder)}")
    for name, listed in sorted(files.items()):
        path = folder / name
        if path.is_symlink():
            raise DataError(f"{path} is a link; the files of a package are its own. {_MEND.format(folder=folder)}")
        if path.stat().st_size != listed["bytes"] or file_sha256(path) != listed["sha256"]:
            raise DataError(
                f"{path} has changed since it was written: its sha256 is not the manifest's. {_MEND.format(folder=folder)}"
            )
    return files


_MEND = "Do not use it: `dvc checkout -f {folder}` brings the right one back, or make it again."


def _present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()} - {NAME}


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): {"sha256": str(of["sha256"]), "bytes": int(of["bytes"])} for name, of in manifest["files"].items()}
    except FileNotFoundError:
        raise DataError(f"{folder} has no {NAME}, so nothing says what it should hold. {_MEND.format(folder=folder)}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a manifest ({error!r}). {_MEND.format(folder=folder)}") from None
    return files
