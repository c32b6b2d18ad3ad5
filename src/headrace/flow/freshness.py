"""Know without DVC that nothing changed: sizes, times and inodes of every file the last complete run looked at.

DVC remembers file hashes by the same three marks; this asks them for the whole project at once, so that a run with nothing to do imports
neither dvc, prefect nor mlflow. Any doubt is answered with "ask DVC".
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace.storage.local import write_json

NAME = "up-to-date.json"
IGNORED = frozenset({"__pycache__", ".ipynb_checkpoints", ".DS_Store"})
"""As in .dvcignore: they change no result."""

ALWAYS = (
    "dvc.yaml",
    "params.yaml",
    "environment.json",
    ".dvc/config",
    ".dvc/config.local",
    ".dvcignore",
    "pyproject.toml",
    ".env",
)


def marks(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Size, modification time and inode of every file at or below the paths; a missing path has no marks but counts."""
    found: dict[str, list[int]] = {}
    stack = [str(path) for path in paths]
    while stack:
        path = stack.pop()
        try:
            with os.scandir(path) as entries:
                stack += [entry.path for entry in entries if entry.name not in IGNORED and not entry.name.endswith(".swp")]
                found[path] = [-1]
        except NotADirectoryError:
            status = Path(path).stat()
            found[path] = [status.st_size, status.st_mtime_ns, status.st_ino]
        except FileNotFoundError:
            found[path] = []
    return found


def remember(local: Path, *, inputs: dict[str, list[int]], outputs: Iterable[Path], context: dict[str, Any], stages: int) -> None:
    """Record a complete run.

    Args:
        local: the checkout's .headrace folder.
        inputs: marks of dependencies, taken before the run planned: what is edited meanwhile must look changed afterwards.
        outputs: paths the run made; their marks are taken now.
        context: everything else the outcome depends on (store, branch, settings).
        stages: how many stages are up to date.
    """
    record = {"inputs": inputs, "outputs": marks(outputs), "context": context, "stages": stages}
    write_json(local / NAME, record)


def forget(local: Path) -> None:
    """The next run asks DVC."""
    (local / NAME).unlink(missing_ok=True)


def fresh_stages(local: Path, context: dict[str, Any]) -> int | None:
    """How many stages are up to date when nothing changed since the last complete run; None when DVC must be asked."""
    try:
        record = json.loads((local / NAME).read_text(encoding="utf-8"))
        if record["context"] != context:
            return None
        for kind in ("inputs", "outputs"):
            before = record[kind]
            if marks(Path(path) for path in _roots(before)) != before:
                return None
        return int(record["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _roots(found: dict[str, list[int]]) -> list[str]:
    """Paths that are not inside another recorded folder: scanning these finds all, and what was added."""
    return [path for path in found if os.path.dirname(path) not in found]  # noqa: PTH120  # thousands of strings
