"""Which objects a file of DVC's names, and which a cache or a bucket holds: what is in the one and not in the other is garbage.

Digests are read from the text, not from its YAML: a file with the marks of a merge conflict names the objects of both sides, and each
of them may still be wanted.
"""

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import DataError
from headrace.storage.dvc_remote import cached

MD5 = re.compile(r"""\bmd5:\s*['"]?([0-9a-f]{32}(?:\.dir)?)\b""")
NAMED = re.compile(r"""\bpath:\s*['"]?([^\n'"]+)['"]?\n\s+hash: md5\n\s+md5:\s*['"]?([0-9a-f]{32}(?:\.dir)?)\b""")
OUTS = re.compile(r"^outs:\n((?:[ -].*\n?)*)", re.MULTILINE)
OBJECT = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)$")
RESULT = re.compile(r"runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}$")
FOLDER = ".dir"


@dataclass(frozen=True)
class Item:
    """An object, or an entry of the run-cache, where it lies."""

    name: str
    """Path inside the cache, or key in the bucket without the remote's prefix."""
    size: int
    modified: float
    """Seconds since the epoch."""
    links: int = 1
    """Names of the file on this disk: more than one when a checkout's output is a hard link to it."""

    @property
    def md5(self) -> str:
        """As dvc.lock writes it; '' for what is no object."""
        found = OBJECT.search(self.name)
        return found[1] + found[2] if found else ""

    @property
    def is_result(self) -> bool:
        """Whether it is an entry of the run-cache: what a stage once made of its inputs."""
        return RESULT.search(self.name) is not None


def digests(text: str) -> set[str]:
    """Every object that a dvc.lock, a .dvc file or an entry of the run-cache names, dependencies included."""
    return set(MD5.findall(text))


def outputs(text: str) -> dict[str, str]:
    """Objects that an entry of the run-cache made, with their paths."""
    section = OUTS.search(text)
    return {md5: path.strip() for path, md5 in NAMED.findall(section[1])} if section else {}


def items(cache: Path) -> Iterator[Item]:
    """What the cache of this machine holds; DVC's temporary files are none of it."""
    for pattern in ("files/md5/??/*", "runs/??/*/*"):
        for path in cache.glob(pattern):
            found = path.lstat()
            item = Item(path.relative_to(cache).as_posix(), found.st_size, found.st_mtime, found.st_nlink)
            if stat.S_ISREG(found.st_mode) and (item.md5 or item.is_result):
                yield item


@dataclass
class Kept:
    """Objects that must stay."""

    md5s: set[str]
    lost: set[str]
    """Folders whose list is nowhere: nobody can restore them, and which files they had is not known."""


def expand(named: Iterable[str], cache: Path, fetch: Callable[[str], bytes | None] | None) -> Kept:
    """The objects of all names, the files in folders included.

    Args:
        named: digests, those of folders with `.dir`.
        cache: of this machine.
        fetch: gives a folder's list from the remote, right or None; None: there is no remote to ask.

    Raises:
        DataError: a list is here and damaged, and the remote has no sound one: which files to keep cannot be known.
    """
    kept = Kept(set(named), set())
    for md5 in sorted(each for each in kept.md5s if each.endswith(FOLDER)):
        content, damaged = _local(cached(cache, md5), md5)
        if content is None and fetch is not None:
            content = fetch(md5)
        if content is None and damaged:
            raise DataError(
                f"{cached(cache, md5)} is damaged, and it says which files a folder has that is still wanted: nothing is deleted. "
                "headrace remote audit --repair on a machine that has it, or delete the damaged file, which gives that folder up."
            )
        if content is None:
            kept.lost.add(md5)
        else:
            kept.md5s.update(str(entry["md5"]) for entry in json.loads(content))
    return kept


def _local(path: Path, md5: str) -> tuple[bytes | None, bool]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, False
    is_right = hashlib.md5(content, usedforsecurity=False).hexdigest() == md5.removesuffix(FOLDER)
    return (content, False) if is_right else (None, True)


def unwanted(held: Iterable[Item], kept: Kept, entries: dict[str, str], *, before: float) -> list[Item]:
    """What may go, in the order in which it must: results, then lists of folders, then files.

    DVC takes a folder's list for its files, so a list may never outlive them, also when this is cut short.

    Args:
        held: what is there.
        kept: what must stay.
        entries: text of each entry of the run-cache by its name; it stays while all that it made does.
        before: what was modified later stays, wanted or not: somebody may be about to record it.
    """

    def stays(item: Item) -> bool:
        if item.modified >= before or item.links > 1:
            return True
        if item.is_result:
            made = outputs(entries.get(item.name, ""))
            return bool(made) and made.keys() <= kept.md5s
        return item.md5 in kept.md5s

    gone = [item for item in held if not stays(item)]
    return sorted(gone, key=lambda item: (not item.is_result, not item.md5.endswith(FOLDER), item.name))
