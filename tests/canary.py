"""Where a secret has come to lie: files as they are, databases row by row, git with all that it ever kept."""

import base64
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

SQLITE = b"SQLite format 3\0"


def forms(secret: str) -> set[bytes]:
    """A secret as it may be written: plain, in a URL, in the header of a log-in, wherever it begins there."""
    shifted = (base64.b64encode(b"x" * shift + secret.encode())[4:-4] for shift in range(3))
    return {secret.encode(), quote(secret, safe="").encode(), *shifted}


def places(wanted: Mapping[str, str], folders: Iterable[Path], *, repositories: Iterable[Path] = ()) -> dict[str, set[Path]]:
    """For each of the wanted: every file below the folders, and every git repository, that has it in one of its forms."""
    pieces = {name: forms(value) for name, value in wanted.items()}
    found: dict[str, set[Path]] = {name: set() for name in wanted}
    read = {path: _content for folder in folders for path in _files(folder)} | dict.fromkeys(repositories, _history)
    for path, reader in read.items():
        content = reader(path)
        for name, wanted_forms in pieces.items():
            if any(form in content for form in wanted_forms):
                found[name].add(path)
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # of a server at work
        return b""
    if content.startswith(SQLITE):  # a value longer than a page is in pieces in the file, and what is new is beside it
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
            content += "\n".join(database.iterdump()).encode("utf-8", "surrogatepass")
    return content


def _history(repository: Path) -> bytes:
    """Every object of a git repository, also those that no branch has."""
    command = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(command, check=True, capture_output=True).stdout
