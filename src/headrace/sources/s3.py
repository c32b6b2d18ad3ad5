"""Objects of a bucket: which ones an `s3` source means, their marks, and their bytes."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

from headrace.errors import DataError, SourceError
from headrace.fingerprint import value_sha256
from headrace.listening import Progress
from headrace.settings import load_settings
from headrace.sources.connections import guard_pools
from headrace.sources.files import LEFT_OUT
from headrace.sources.hosts import check_host, named_hosts
from headrace.sources.marks import Marks
from headrace.sources.places import Places
from headrace.sources.snapshot import REFRESH, LockedFile
from headrace.sources.spec import S3, S3Object, Split
from headrace.sources.store import Store
from headrace.storage.objects import Content, Remedies, Stored
from headrace.storage.s3 import Bucket

AT_ONCE = 8
MAX_OBJECTS = 1_000_000
_MAX_NAME_BYTES = 200

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Found:
    """One object as the bucket has it now."""

    stored: Stored
    url: str
    split: Split


class Stopped(Exception):
    """Another object failed, or the person pressed Ctrl-C: what is under way need not go on."""


def open_bucket(source: S3, places: Places) -> Bucket:
    """The bucket of a source, with the keys of this machine.

    A server that params.yaml names is checked like any URL there, and again when it is dialled. One that the machine's own settings
    name is meant by their owner.

    Raises:
        SourceError: the server is refused.
    """
    guard = None
    if source.endpoint is not None:
        allowed = named_hosts([source.endpoint]) | set(source.allow_hosts)
        check_host(source.endpoint, allowed=allowed)
        guard = guard_pools(allowed)
    remedies = Remedies(
        absent=f"{REFRESH} Is it gone for good, take it out of collect.sources.",
        wrong="A proxy in between may be the cause; else store the object again.",
        no_bucket=f"Correct `bucket` or `endpoint` of source '{source.name}' in collect.sources, or AWS_ENDPOINT_URL_S3.",
    )
    return Bucket(load_settings(places.project), source.bucket, endpoint=source.endpoint, remedies=remedies, guard=guard)


def look(
    source: S3, known: Mapping[str, LockedFile], marks: Marks, places: Places, progress: Progress, *, full: bool = False
) -> list[LockedFile]:
    """The objects of a source as they are now; only those are read whose mark is new.

    Args:
        source: of params.yaml.
        known: what the lock has for objects of this bucket, by URL.
        marks: of this machine.
        places: of this machine.
        progress: told the bytes that are received.
        full: read every object, whatever its mark.

    Raises:
        SourceError: there is no such object, a key cannot be a file's name, or an object changed while it was read.
        HeadraceError: the bucket refuses, or does not answer.
    """
    bucket = open_bucket(source, places)
    found = _listed(source, bucket, known) if source.objects else list(_below(source, bucket))
    if not found:
        what = f"whose key begins with '{source.prefix}'" if source.prefix else "at all"
        raise SourceError(f"source '{source.name}': s3://{source.bucket} has no object {what}. Correct collect.sources.")
    same = {each.url: None if full else _unchanged(each, known.get(each.url), marks.get(_place(bucket, each))) for each in found}
    changed = [each for each in found if same[each.url] is None]

    def read(each: Found, advance: Callable[[int], None]) -> LockedFile:
        stored = each.stored
        content, _ = _receive(bucket, stored.key, places, advance, etag=stored.etag, version=stored.version)
        return LockedFile(
            name=stored.key, url=each.url, size=content.size, sha256=content.sha256, split=each.split,
            version=content.version, mark=stored.etag,
        )  # fmt: skip

    total = sum(each.stored.size for each in changed)
    with _reported(progress, f"{source.name}: {len(changed):,} objects", total, some=bool(changed)) as advance:
        for each, file in zip(changed, _at_once(read, changed, advance), strict=True):
            marks.note(_place(bucket, each), _note(each.stored, file))
            same[each.url] = _kept(file, known.get(each.url))
    return [entry for each in found if (entry := same[each.url])]


def bring(source: S3, files: Sequence[LockedFile], places: Places, progress: Progress) -> Iterator[tuple[LockedFile, Path]]:
    """The bytes that the lock promises: of this machine's downloads, else of the bucket.

    Raises:
        SourceError: the bucket has other bytes by now.
        HeadraceError: the bucket refuses, or does not answer.
    """
    store = Store(places.downloads)
    present = {file.name: path for file in files if (path := store.find(file.sha256, stored_name(file.name)))}
    absent = [file for file in files if file.name not in present]
    bucket = open_bucket(source, places) if absent else None

    def read(file: LockedFile, advance: Callable[[int], None]) -> Path:
        assert bucket is not None  # noqa: S101 - for the type checker; it is open where something is absent
        return _promised(source, bucket, file, places, advance)

    total = sum(file.size for file in absent)
    with _reported(progress, f"{source.name}: {len(absent):,} objects", total, some=bool(absent)) as advance:
        for file, path in zip(absent, _at_once(read, absent, advance), strict=True):
            present[file.name] = path
    for file in files:
        yield file, present[file.name]


def _below(source: S3, bucket: Bucket) -> Iterator[Found]:
    found = sorted(bucket.objects(source.prefix), key=lambda stored: stored.key)
    if len(found) > MAX_OBJECTS:
        raise SourceError(f"source '{source.name}' means more than {MAX_OBJECTS:,} objects. Pack them into archives.")
    for stored in found:
        if stored.key.endswith("/") and not stored.size:
            continue  # how consoles mark a folder
        if not LEFT_OUT & set(stored.key.split("/")):
            yield _checked(stored, source, source.split)


def _listed(source: S3, bucket: Bucket, known: Mapping[str, LockedFile]) -> list[Found]:
    def ask(entry: S3Object, advance: Callable[[int], None]) -> Found:
        del advance
        before = known.get(_url(source.bucket, entry.key))
        if before is not None and entry.version and before.version == entry.version:
            stored: Stored | None = Stored(entry.key, before.size, before.mark, before.version)  # a version never changes
        elif stored := bucket.head(entry.key, entry.version):
            stored = replace(stored, version=entry.version)
        if stored is None:
            version = f" in version {entry.version}" if entry.version else ""
            raise SourceError(
                f"source '{source.name}': s3://{source.bucket} has no {entry.key}{version}. Correct collect.sources."
            )
        return _checked(stored, source, source.split if entry.split is None else entry.split)

    return list(_at_once(ask, source.listed, lambda _: None))


def _checked(stored: Stored, source: S3, split: Split) -> Found:
    if any(ord(sign) < 32 or 0xD800 <= ord(sign) <= 0xDFFF for sign in stored.key):
        raise SourceError(f"source '{source.name}': the key {stored.key!r} has control characters. Rename the object.")
    if {"", ".", ".."} & set(stored.key.split("/")):
        raise SourceError(
            f"source '{source.name}': the key {stored.key!r} is no path of folders and a name. Rename the object, or choose another prefix."
        )
    return Found(stored, _url(source.bucket, stored.key), split)


def _unchanged(found: Found, known: LockedFile | None, noted: Any) -> LockedFile | None:
    """The lock's entry for an object whose mark says that its bytes are known; None if they must be read."""
    stored = found.stored
    if known is not None and (known.size, known.mark) == (stored.size, stored.etag):
        return _kept(known.model_copy(update={"split": found.split, "version": stored.version or known.version}), known)
    if isinstance(noted, dict) and noted.get("etag") == stored.etag and noted.get("size") == stored.size:
        file = LockedFile(
            name=stored.key, url=found.url, size=stored.size, sha256=noted["sha256"], split=found.split,
            version=stored.version or noted["version"], mark=stored.etag,
        )  # fmt: skip
        return _kept(file, known)
    return None


def _kept(file: LockedFile, known: LockedFile | None) -> LockedFile:
    """The earlier entry where the bytes are the same: storing them once more changes nothing."""
    if known is None or (known.sha256, known.split) != (file.sha256, file.split):
        return file
    return known


def _note(stored: Stored, file: LockedFile) -> dict[str, Any]:
    return {"etag": stored.etag, "size": file.size, "sha256": file.sha256, "version": file.version}


def _place(bucket: Bucket, found: Found) -> str:
    return f"{bucket.place} {found.url}"


def _receive(
    bucket: Bucket, key: str, places: Places, advance: Callable[[int], None], *, etag: str, version: str, sha256: str = ""
) -> tuple[Content, Path]:
    """Download an object into the store."""
    store = Store(places.downloads)
    temporary = store.partial(value_sha256([bucket.place, bucket.name, key, version, etag, sha256])[:32])
    content = bucket.download(key, temporary, sha256=sha256, etag=etag, version=version, advance=advance)
    return content, store.land(temporary, content.sha256, stored_name(key))


def _promised(source: S3, bucket: Bucket, file: LockedFile, places: Places, advance: Callable[[int], None]) -> Path:
    """The locked version, else the present one if it has the same bytes."""
    try:
        return _receive(bucket, file.name, places, advance, etag=file.mark, version=file.version, sha256=file.sha256)[1]
    except DataError:
        stored = bucket.head(file.name)
    if stored is not None and stored.size == file.size and (stored.etag != file.mark or file.version):
        with suppress(DataError):
            return _receive(bucket, file.name, places, advance, etag=stored.etag, version="", sha256=file.sha256)[1]
    raise SourceError(
        f"source '{source.name}': s3://{source.bucket} no longer has the {file.name} of data/sources.lock "
        f"(sha256 {file.sha256[:12]}...). {REFRESH}"
    )


def stored_name(key: str) -> str:
    """Name of an object's file in the store: the last part of its key, if a file can have that name."""
    name = PurePosixPath(key).name
    if name in ("", ".", "..") or len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        return value_sha256(key)[:32]
    return name


def _url(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{quote(key, safe='/')}"


@contextmanager
def _reported(progress: Progress, label: str, total: int, *, some: bool) -> Iterator[Callable[[int], None]]:
    if not some:
        yield lambda _: None
        return
    progress.start(label, total, unit="B")
    try:
        yield progress.advance
    finally:
        progress.finish()


def _at_once(act: Callable[[A, Callable[[int], None]], B], entries: Iterable[A], advance: Callable[[int], None]) -> Iterator[B]:
    """`act` on each of the entries, several at a time, results in order; the first error stops the others."""
    stop, lock = threading.Event(), threading.Lock()

    def counted(size: int) -> None:
        if stop.is_set():
            raise Stopped
        with lock:
            advance(size)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3") as pool:
        futures = [pool.submit(act, entry, counted) for entry in entries]
        try:
            for future in futures:
                yield future.result()
        finally:
            stop.set()
            for future in futures:
                future.cancel()
