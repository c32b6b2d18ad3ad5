"""Bring the bytes that data/sources.lock promises, and bring the lock up to date. No file is handed out unhashed."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256
from headrace.formats.record import SourceFile
from headrace.listening import Progress, SilentProgress
from headrace.plugins import resolve
from headrace.sources.bundled import bundled_file, locate
from headrace.sources.files import find_files
from headrace.sources.hosts import named_hosts
from headrace.sources.initial import look
from headrace.sources.marks import Marks
from headrace.sources.places import Places
from headrace.sources.snapshot import (
    REFRESH,
    Change,
    Lock,
    LockedFile,
    LockedSource,
    described,
    differences,
    earlier,
    pin,
    read_lock,
    write_lock,
)
from headrace.sources.spec import S3, Bundled, Files, Http, HttpFile, Own, Source, Sql
from headrace.sources.store import Store
from headrace.sources.web import from_web


def fetch(sources: Sequence[Source], lock: Lock, places: Places, progress: Progress | None = None) -> list[SourceFile]:
    """The files of all sources in the order of the lock, verified.

    Raises:
        SourceError: a file is missing, cannot be fetched, or has other bytes than the lock says.
    """
    progress = progress or SilentProgress()
    brought: list[SourceFile] = []
    for source, entry in zip(sources, lock.sources, strict=True):
        for file, path in _bring(source, entry.files, places, progress):
            brought.append(SourceFile(name=file.name, path=path, source=source.name, split=file.split))
    return brought


@contextmanager
def unchanged(files: Sequence[SourceFile]) -> Iterator[None]:
    """See that no file changes while it is read, by size and modification time.

    Raises:
        SourceError: one did.
    """
    before = _state_of(files)
    yield
    if _state_of(files) != before:
        raise SourceError("a file of the sources changed while it was read. Wait until it is complete, then run again.")


def _state_of(files: Sequence[SourceFile]) -> list[tuple[int, int]]:
    return [(stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.path.stat()]]


def _bring(source: Source, files: list[LockedFile], places: Places, progress: Progress) -> Iterator[tuple[LockedFile, Path]]:
    match source:
        case Bundled():
            path = locate(bundled_file(source.dataset), Store(places.downloads))
            yield files[0], _same(files[0], path, "Install the locked environment with `make install`.")
        case Files():
            names = [found.name for found in find_files(source, places)]
            if names != [file.name for file in files]:
                raise SourceError(f"source '{source.name}': files came or went since data/sources.lock was written. {REFRESH}")
            for file in files:
                yield file, _same(file, places.project / file.name, REFRESH)
        case Http():
            for file in files:
                yield file, _from_web(source, file.url, file.name, file.sha256, file.size, places, progress)
        case Own():
            yield from _from_function(source, files, places)
        case S3():
            from headrace.sources import s3

            yield from s3.bring(source, files, places, progress)
        case Sql():
            from headrace.sources import sql

            yield from sql.bring(source, files, places, progress)


def _same(file: LockedFile, path: Path, remedy: str) -> Path:
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise SourceError(f"{file.name} cannot be read: {error.strerror}. {remedy}") from None
    if digest != file.sha256:
        raise SourceError(
            f"{file.name} is not what data/sources.lock says (sha256 {digest[:12]}..., there {file.sha256[:12]}...). {remedy}"
        )
    return path


def _from_web(
    source: Http, url: str, name: str, sha256: str | None, size: int | None, places: Places, progress: Progress
) -> Path:
    allowed = named_hosts([url]) | set(source.allow_hosts)
    return from_web(url, name, sha256, size, places, progress, dataset=source.dataset, allowed=allowed)


def _from_function(source: Own, files: list[LockedFile], places: Places) -> Iterator[tuple[LockedFile, Path]]:
    store = Store(places.downloads)
    present = [store.find(file.sha256, PurePosixPath(file.name).name) for file in files]
    if not all(present):
        made = {file.name: (file, path) for file, path in _call(source, places)}
        for file in files:
            if file.name not in made or made[file.name][0].sha256 != file.sha256:
                raise SourceError(f"{source.function} no longer writes the {file.name} of data/sources.lock. {REFRESH}")
        present = [made[file.name][1] for file in files]
    for file, path in zip(files, present, strict=True):
        assert path is not None  # noqa: S101 - for the type checker; all() has seen to it
        yield file, path


def _call(source: Own, places: Places) -> list[tuple[LockedFile, Path]]:
    """Let the user's function write its files and land them in the store."""
    function = resolve("sources", source.function, None, where=f"collect.sources: function of '{source.name}'")
    store = Store(places.downloads)
    folder = store.workbench()
    try:
        function(folder, dict(source.options))
        files: list[tuple[LockedFile, Path]] = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
            name, digest = path.relative_to(folder).as_posix(), file_sha256(path)
            file = LockedFile(
                name=name, url=f"own:{source.function}", size=path.stat().st_size, sha256=digest, split=source.split
            )
            files.append((file, store.land(path, digest, path.name)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not files:
        raise SourceError(f"{source.function} wrote no file into the folder it was given (source '{source.name}').")
    return files


def refresh(
    sources: Sequence[Source],
    lock_path: Path,
    places: Places,
    progress: Progress | None = None,
    *,
    full: bool = False,
    init_from: str | None = None,
) -> list[Change]:
    """Bring data/sources.lock up to date and say what changed; it is rewritten only if something did.

    Files of the project are hashed again only where size or time changed. A pinned download is what it is. Of others only a mark is
    asked for: the ETag of a web server or a bucket, the answer of a query's `marker`. What has a new mark, or none, is read again.

    Args:
        sources: of params.yaml.
        lock_path: data/sources.lock.
        places: of this machine.
        progress: told what is read.
        full: believe no mark and read everything.
        init_from: `train.init_from`; an alias of a registered model is looked up again.

    Raises:
        SourceError: a source cannot be read.
    """
    progress = progress or SilentProgress()
    try:
        old: Lock | None = read_lock(lock_path)
    except SourceError:
        old = None  # missing or garbage: it is about to be written anew
    marks = Marks(places.marks)
    try:
        entries = [_current(source, old, marks, places, progress, full=full) for source in sources]
    finally:
        marks.save()  # what was read before an error need not be read again
    initial = look(init_from, places, old.initial if old else None, full=full, progress=progress) if init_from else None
    new = Lock(sources=entries, initial=initial)
    changes = differences(old, new)
    write_lock(lock_path, new)
    return changes


def _current(source: Source, old: Lock | None, marks: Marks, places: Places, progress: Progress, *, full: bool) -> LockedSource:
    entry, mark = earlier(source, old), ""
    match source:
        case Http():
            known = {} if full or entry is None else {file.name: file for file in entry.files}
            files = [_current_download(source, file, known.get(file.file_name), marks, places, progress) for file in source.files]
        case Own():
            files = [file for file, _ in _call(source, places)]
        case S3():
            from headrace.sources import s3

            objects = {file.url: file for each in old.sources for file in each.files} if old else {}
            files = s3.look(source, objects, marks, places, progress, full=full)
        case Sql():
            from headrace.sources import sql

            files, mark = sql.look(source, entry, marks, places, progress, full=full)
        case _:
            files = pin([source], places).sources[0].files
    return LockedSource(source=described(source), files=files, mark=mark)


def _current_download(
    source: Http, file: HttpFile, known: LockedFile | None, marks: Marks, places: Places, progress: Progress
) -> LockedFile:
    name = file.file_name
    if file.sha256 is not None and file.size is not None:
        return LockedFile(name=name, url=file.url, size=file.size, sha256=file.sha256, split=file.split)
    from headrace.sources.http import probe

    seen = probe(file.url, allowed=named_hosts([file.url]) | set(source.allow_hosts))
    if known and seen and marks.get(file.url) == {**seen, "sha256": known.sha256}:
        return known
    path = _from_web(source, file.url, name, None, None, places, progress)
    digest = file_sha256(path)
    marks.note(file.url, {**seen, "sha256": digest})
    return LockedFile(name=name, url=file.url, size=path.stat().st_size, sha256=digest, split=file.split)
