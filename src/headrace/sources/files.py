"""Files of this project or beside it: which ones a `files` source means, and their digests, remembered by modification time."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256
from headrace.sources.places import Places
from headrace.sources.spec import Files
from headrace.storage.local import write_text

# What operating systems and editors leave behind; nobody means it when naming a folder.
LEFT_OUT = frozenset(
    {".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git", ".gitkeep"}
)

_MAX_FILES = 5_000_000
_SETTLED_S = 2.0
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source."""

    name: str
    """Path relative to the project, with '/', as params.yaml spells its beginning."""
    path: Path


def find_files(source: Files, places: Places) -> list[FoundFile]:
    """All files a source means, sorted by name, each once.

    Raises:
        SourceError: a path matches nothing, or a link, a device or an unreadable name is among the files.
    """
    found: dict[str, FoundFile] = {}
    for text in source.paths:
        count = len(found)
        matched = False
        for name in _expand(text, places.project, source.name):
            matched = True
            found.setdefault(name, FoundFile(name, places.project / name))
            if len(found) > _MAX_FILES:
                raise SourceError(f"source '{source.name}': {text} means more than {_MAX_FILES} files. Pack them into archives.")
        if not matched and len(found) == count:
            raise SourceError(f"source '{source.name}': no file at {text} (seen from {places.project}). Correct collect.sources.")
    return [found[name] for name in sorted(found)]


def _expand(text: str, project: Path, source: str) -> Iterator[str]:
    if _GLOB_SIGNS & set(text):
        # The path as params.yaml spells it must survive: glob below the part without signs.
        parts = text.split("/")
        fixed = next(index for index, part in enumerate(parts) if _GLOB_SIGNS & set(part))
        base = "/".join(parts[:fixed])
        for match in sorted((project / base).glob("/".join(parts[fixed:]))):
            relative = match.relative_to(project / base).as_posix()
            if not LEFT_OUT & set(relative.split("/")):
                yield from _below(project, f"{base}/{relative}" if base else relative, source, named=False)
    else:
        yield from _below(project, text.rstrip("/"), source, named=True)


def _below(project: Path, name: str, source: str, *, named: bool) -> Iterator[str]:
    """Names of the file `name`, or of all files below the folder `name`; a link is followed only when params.yaml names it."""
    path = project / name
    if path.is_symlink() and not named:
        raise SourceError(
            f"source '{source}': {name} is a link to {path.readlink()}. Links can lead anywhere: replace it by the file itself, "
            "or name the link in collect.sources."
        )
    if path.is_file():
        yield _checked(name, source)
    elif path.is_dir():
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.name not in LEFT_OUT)
        for entry in names:
            yield from _below(project, f"{name}/{entry}", source, named=False)
    elif path.exists():
        raise SourceError(f"source '{source}': {name} is neither a file nor a folder.")


def _checked(name: str, source: str) -> str:
    if any(ord(sign) < 32 or 0xD800 <= ord(sign) <= 0xDFFF for sign in name):
        raise SourceError(f"source '{source}': the file name {name!r} has control characters or is not UTF-8. Rename the file.")
    return name


class DigestCache:
    """sha256 of files, remembered while size and modification time stay the same; `refresh` of a big folder is then a walk.

    A file written less than two seconds before it was hashed is not remembered: another write in the same tick would not show.
    """

    def __init__(self, places: Places) -> None:
        self._path = places.notes / "digests.json"
        try:
            loaded = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            loaded = {}
        self._known: dict[str, list[object]] = loaded if isinstance(loaded, dict) else {}
        self._changed = False

    def sha256(self, path: Path) -> tuple[int, str]:
        """Size and digest of a file."""
        stat, key = path.stat(), os.path.abspath(path)  # noqa: PTH100 - resolve() would follow a named link
        known = self._known.get(key)
        if isinstance(known, list) and known[:2] == [stat.st_size, stat.st_mtime_ns]:
            return stat.st_size, str(known[2])
        digest = file_sha256(path)
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            raise SourceError(f"{path} changed while it was read. Wait until it is complete, then run the command again.")
        if time.time() - stat.st_mtime > _SETTLED_S:
            self._known[key] = [stat.st_size, stat.st_mtime_ns, digest]
            self._changed = True
        return stat.st_size, digest

    def save(self) -> None:
        """Write the cache, if something was learnt."""
        if self._changed:
            write_text(self._path, json.dumps(self._known, separators=(",", ":")) + "\n")
