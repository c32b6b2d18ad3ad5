"""Digests: of files, of values, of the installed environment."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1024 * 1024


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """MD5 of a file, hex: DVC's name for it, and no proof against intent."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def value_sha256(value: Any) -> str:
    """sha256 of a JSON value in canonical form (sorted keys, no spaces), hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def tree_sha256(paths: Iterable[Path], *, root: Path) -> str:
    """One digest for many files: their paths relative to `root` and their contents, in sorted order."""
    lines = sorted((path.relative_to(root).as_posix(), file_sha256(path)) for path in paths if path.is_file())
    return value_sha256(lines)
