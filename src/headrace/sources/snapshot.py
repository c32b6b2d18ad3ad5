"""data/sources.lock: which bytes the sources of params.yaml meant when it was written.

It holds the sources in their order, and for each file its logical URL, size and sha256; nothing of this machine, so the same sources
give the same file everywhere. Marks that every reader of a bucket or a database sees alike (ETag, version id, a marker query's answer)
are in it too: a machine that has nothing but this file then knows that nothing changed. Modification times and the validators of web
servers, which differ between mirrors, stay beside the downloads.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.errors import SourceError, StaleSnapshot
from headrace.sources.bundled import bundled_file
from headrace.sources.files import DigestCache, find_files
from headrace.sources.places import Places
from headrace.sources.spec import S3, Bundled, Files, Http, HttpFile, Own, Sha256, Source, Split, Sql
from headrace.storage.local import write_text

REFRESH = "Run `headrace sources refresh`."
MAX_LOCK_BYTES = 1 << 30
INITIAL = "train.init_from"
"""What changes of first weights are told under."""


class LockedFile(BaseModel):
    """One file of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: str
    """Where it logically comes from: an http URL, bundled:<data set>, file:<path below the project>, own:<function>,
    s3://<bucket>/<key>, sql:<source>, hf://<repository>@<commit>/<path>."""
    size: int
    sha256: Sha256
    split: Split = ""
    version: str = ""
    """Version id in a bucket with versions: these bytes can still be had when a newer version has come."""
    mark: str = ""
    """What tells these bytes from others without reading them: an object's ETag."""


class LockedSource(BaseModel):
    """One source as params.yaml has it, with its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: dict[str, Any]
    files: list[LockedFile]
    mark: str = ""
    """What tells all of it from another state without reading it: the digest of a marker query's answer."""


class LockedInitial(BaseModel):
    """The weights that a training starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    init_from: str
    """As `train.init_from` has it."""
    version: str = ""
    """Of a registered model: what an alias meant when it was asked. Of a hub: the commit."""
    package: str = ""
    """Digest of that version's package."""
    files: list[LockedFile]


class Lock(BaseModel):
    """The whole snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    sources: list[LockedSource]
    initial: LockedInitial | None = None
    """Where a training starts from weights; else nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that a refresh wrote."""

    source: str
    file: str
    what: Literal["added", "removed", "changed"]


def read_lock(path: Path) -> Lock:
    """Read data/sources.lock.

    Raises:
        SourceError: it is missing, has the marks of a merge conflict, or is no lock of ours.
    """
    try:
        if path.stat().st_size > MAX_LOCK_BYTES:
            raise SourceError(
                f"{path} has more than {MAX_LOCK_BYTES} bytes. Pack the files of collect.sources into archives. {REFRESH}"
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StaleSnapshot(f"{path} does not exist. {REFRESH}") from None
    except UnicodeDecodeError:
        raise StaleSnapshot(f"{path} is not text. {REFRESH}") from None
    if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
        raise StaleSnapshot(
            f"{path} has the marks of a merge conflict. Settle collect.sources in params.yaml first, then write it anew: "
            "`headrace sources refresh`, `git add` both files, and `git merge --continue`."
        )
    try:
        return Lock.model_validate(json.loads(text))
    except (json.JSONDecodeError, ValidationError, RecursionError) as error:
        detail = " ".join(str(error).split())[:200]
        raise StaleSnapshot(f"{path} cannot be understood: {detail}. {REFRESH}") from None


def render(lock: Lock) -> str:
    """The lock as text: one file a line, so that a diff shows files."""
    blocks = []
    for entry in lock.sources:
        source = json.dumps(entry.source, sort_keys=True, ensure_ascii=False)
        lines = [json.dumps(file.model_dump(exclude_defaults=True), ensure_ascii=False) for file in entry.files]
        files = "[\n        " + ",\n        ".join(lines) + "\n      ]" if lines else "[]"
        mark = f'      "mark": {json.dumps(entry.mark)},\n' if entry.mark else ""
        blocks.append(f'    {{\n      "source": {source},\n{mark}      "files": {files}\n    }}')
    listed = "[\n" + ",\n".join(blocks) + "\n  ]" if blocks else "[]"
    initial = f',\n  "initial": {_render_initial(lock.initial)}' if lock.initial else ""
    return f'{{\n  "format": {lock.format},\n  "sources": {listed}{initial}\n}}\n'


def _render_initial(initial: LockedInitial) -> str:
    head = initial.model_dump(exclude_defaults=True, exclude={"files"})
    lines = [f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    files = [json.dumps(file.model_dump(exclude_defaults=True), ensure_ascii=False) for file in initial.files]
    return "{\n" + ",\n".join(lines) + ',\n    "files": [\n      ' + ",\n      ".join(files) + "\n    ]\n  }"


def write_lock(path: Path, lock: Lock) -> bool:
    """Write data/sources.lock if its text changes; returns whether it did."""
    text = render(lock)
    if path.exists() and path.read_bytes() == text.encode("utf-8"):
        return False
    write_text(path, text)
    return True


def described(source: Source) -> dict[str, Any]:
    """A source as params.yaml has it, defaults left out: what makes a lock entry belong to it."""
    return source.model_dump(mode="json", exclude_defaults=True) | {"kind": source.kind}


def check(sources: Sequence[Source], lock: Lock, *, where: str) -> None:
    """Compare a lock with the sources of params.yaml.

    Raises:
        SourceError: it was written for other sources; names the first difference and the command to run.
    """
    locked = [entry.source for entry in lock.sources]
    for index, source in enumerate(sources):
        if index >= len(locked) or locked[index] != described(source):
            raise StaleSnapshot(
                f"{where} is stale: source '{source.name}' of params.yaml is not in it as it stands there. {REFRESH}"
            )
    if len(locked) > len(sources):
        raise StaleSnapshot(f"{where} is stale: it has {len(locked)} sources, params.yaml has {len(sources)}. {REFRESH}")


def pin(sources: Sequence[Source], places: Places, *, previous: Lock | None = None) -> Lock:
    """A lock from what is known without a network: pinned digests, files of the project, entries of `previous`.

    Raises:
        SourceError: a source can only be known by asking for it.
    """
    cache = DigestCache(places)
    lock = Lock(sources=[_entry(source, places, cache, previous) for source in sources])
    cache.save()
    return lock


def _entry(source: Source, places: Places, cache: DigestCache, previous: Lock | None) -> LockedSource:
    if isinstance(source, Own | S3 | Sql):
        if entry := earlier(source, previous):
            return entry
        raise SourceError(f"source '{source.name}' is known only after it was asked. {REFRESH}")
    return LockedSource(source=described(source), files=_known(source, places, cache, previous))


def _known(source: Bundled | Files | Http, places: Places, cache: DigestCache, previous: Lock | None) -> list[LockedFile]:
    match source:
        case Bundled():
            file = bundled_file(source.dataset)
            return [
                LockedFile(
                    name=file.name, url=f"bundled:{source.dataset}", size=file.size, sha256=file.sha256, split=source.split
                )
            ]
        case Files():
            return [locked_path(found.name, found.path, source, cache) for found in find_files(source, places)]
        case Http():
            return [_pinned(file) or _earlier(source, file.file_name, previous) for file in source.files]


def locked_path(name: str, path: Path, source: Files, cache: DigestCache) -> LockedFile:
    """Lock entry of a file of this project."""
    try:
        size, digest = cache.sha256(path)
    except OSError as error:
        raise SourceError(f"source '{source.name}': {name} cannot be read: {error.strerror}. Check its permissions.") from None
    return LockedFile(name=name, url=f"file:{name}", size=size, sha256=digest, split=source.split)


def _pinned(file: HttpFile) -> LockedFile | None:
    if file.sha256 is None or file.size is None:
        return None
    return LockedFile(name=file.file_name, url=file.url, size=file.size, sha256=file.sha256, split=file.split)


def _earlier(source: Source, name: str, previous: Lock | None) -> LockedFile:
    entry = earlier(source, previous)
    for file in entry.files if entry else []:
        if file.name == name:
            return file
    raise SourceError(f"source '{source.name}': {name} has no sha256 in params.yaml. {REFRESH}")


def earlier(source: Source, previous: Lock | None) -> LockedSource | None:
    """The entry that an earlier lock has for the very same source."""
    wanted = described(source)
    return next((entry for entry in previous.sources if entry.source == wanted), None) if previous else None


def differences(old: Lock | None, new: Lock) -> list[Change]:
    """Files added, removed and changed between two locks."""
    before, after = _by_name(old), _by_name(new)
    changes = [Change(*key, "removed") for key in before if key not in after]
    for key, file in after.items():
        if key not in before:
            changes.append(Change(*key, "added"))
        elif _content(before[key]) != _content(file):
            changes.append(Change(*key, "changed"))
    return changes


def _content(file: LockedFile) -> tuple[str, int, str, str]:
    return file.url, file.size, file.sha256, file.split


def _by_name(lock: Lock | None) -> dict[tuple[str, str], LockedFile]:
    def name(entry: LockedSource) -> str:
        return str(entry.source.get("name") or entry.source.get("dataset") or "")

    if lock is None:
        return {}
    initial = {(INITIAL, file.name): file for file in lock.initial.files} if lock.initial else {}
    return {(name(entry), file.name): file for entry in lock.sources for file in entry.files} | initial
