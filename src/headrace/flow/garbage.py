"""`headrace gc`: free what nothing refers to, in the cache that all checkouts share and in the bucket.

DVC's own collection knows one repository and its commits: in one checkout it deleted another's objects, and it knows of no registered
model. docs/decisions/0015-garbage.md.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import ConfigError, DataError
from headrace.flow.standstill import standstill
from headrace.project.checkouts import (
    check_fetched,
    checkouts,
    forget,
    lock_path,
    revision_texts,
    revisions,
    workspace_texts,
)
from headrace.settings import Settings, load_settings
from headrace.storage.dvc_config import Remote, cache_folder, default_remote
from headrace.storage.locks import file_lock
from headrace.storage.references import Item, Kept, digests, expand, items, outputs, unwanted

if TYPE_CHECKING:
    from headrace.storage.s3 import Bucket

DAY_S = 86400
CACHE_DAYS, BUCKET_DAYS, UPLOAD_DAYS = 1.0, 14.0, 1.0
WORKERS = 8
OTHER = "other"


@dataclass
class Place:
    """The cache or the bucket: what it holds and what may go."""

    name: str
    held: int
    held_bytes: int
    gone: list[Item]
    paths: dict[str, str] = field(default_factory=dict)
    """Path of the output that an object was, where the run-cache tells it."""
    uploads: int = 0
    """Unfinished uploads that are given up."""

    @property
    def freed_bytes(self) -> int:
        """Of all that goes."""
        return sum(item.size for item in self.gone)

    def by_output(self) -> list[tuple[str, int, int]]:
        """Path, objects and bytes of what goes, the largest first."""
        count: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for item in self.gone:
            if not item.is_result:
                path = self.paths.get(item.md5, OTHER)
                count[path] += 1
                size[path] += item.size
        return [(path, count[path], size[path]) for path in sorted(count, key=lambda path: (-size[path], path))]


@dataclass
class Collection:
    """What was kept for whom, and what went."""

    checkouts: list[str]
    revisions: int
    models: int
    forgotten: list[str]
    lost: int
    """Folders that are named and whose list is nowhere."""
    places: list[Place]
    is_dry: bool

    @property
    def freed_bytes(self) -> int:
        """In all places."""
        return sum(place.freed_bytes for place in self.places)


def collect(
    settings: Settings, *, dry_run: bool, remote: bool, older_than: float | None = None, now: float | None = None
) -> Collection:
    """Delete what no checkout, branch, tag, stash or registered model refers to.

    Args:
        settings: of this machine and project.
        dry_run: only tell.
        remote: also look at the bucket, and give up uploads that somebody began more than a day ago and never ended.
        older_than: days; what is younger stays. Default: 1 in the cache, 14 in the bucket, where machines push that this one knows not.
        now: seconds since the epoch; default: the clock's.

    Raises:
        WorkspaceBusy: a run is at work in a checkout.
        ConfigError: a checkout cannot be read, or lacks commits that others have pushed.
        DataError: a list of files is damaged: what to keep cannot be known.
        EngineError: git, MLflow or the bucket do not answer: what to keep cannot be known.
    """
    now = time.time() if now is None else now
    cache = cache_folder(settings.project)
    with file_lock(lock_path(settings)), ExitStack() as stack:
        here, gone = checkouts(settings)
        for checkout in here:
            stack.enter_context(standstill(checkout))
        bucket, place = _bucket(settings, must=remote)
        if remote:
            check_fetched(settings.project)
        fetch = _fetcher(bucket, place) if bucket is not None and place is not None else None
        named, count = _named(here)
        models = _models(settings, here)
        for text in models.values():
            named |= digests(text)
        result = Collection([str(each) for each in here], count, len(models), [str(each) for each in gone], 0, [], dry_run)

        held = list(items(cache))
        entries = {item.name: _text(cache / item.name) for item in held if item.is_result}
        before = now - DAY_S * (CACHE_DAYS if older_than is None else older_than)
        kept = expand(named | _young(held, entries, before), cache, fetch)
        result.lost = len(kept.lost)
        result.places.append(_place(str(cache), held, kept, entries, before, cache, fetch))
        if bucket is not None and place is not None and remote:
            stored = [
                Item(each.key.removeprefix(place.prefix), each.size, each.modified) for each in bucket.objects(place.prefix)
            ]
            stored = [item for item in stored if item.md5 or item.is_result]
            texts = _entries(bucket, place, stored, entries)
            before = now - DAY_S * (BUCKET_DAYS if older_than is None else older_than)
            kept = expand(named | _young(stored, texts, before), cache, fetch)
            result.places.append(_place(place.url, stored, kept, texts, before, cache, fetch))
            uploads = [each for each in bucket.unfinished(place.prefix) if each.begun < now - UPLOAD_DAYS * DAY_S]
            result.places[-1].uploads = len(uploads)
            if not dry_run:
                for upload in uploads:
                    bucket.abandon(upload)
        if not dry_run:
            _delete(result.places[0].gone, lambda item: (cache / item.name).unlink(missing_ok=True))
            if bucket is not None and place is not None and remote:
                found, prefix = bucket, place.prefix
                _delete(result.places[1].gone, lambda item: found.remove(prefix + item.name))
            forget(settings, gone)
    return result


def _named(here: list[Path]) -> tuple[set[str], int]:
    """Digests that workspaces and revisions name, and the number of revisions."""
    named: set[str] = set()
    seen: dict[str, str] = {}
    known: dict[str, str] = {}
    for checkout in here:
        for text in workspace_texts(checkout):
            named |= digests(text)
        for commit, name in revisions(checkout).items():
            if commit not in known:
                known[commit] = name
                seen |= revision_texts(checkout, commit)
    for text in seen.values():
        named |= digests(text)
    return named, len(known)


def _models(settings: Settings, here: list[Path]) -> dict[str, str]:
    """dvc.lock of every version in every store that a checkout uses, the embedded one and that of `headrace up` included.

    Raises:
        ConfigError: the server of `headrace up` is down and has models.
    """
    from headrace.registry.wanted import locks_of_models
    from headrace.tracking.runs import Store

    used = {load_settings(checkout).tracking_uri for checkout in here}
    embedded, served = settings.state_home / "mlflow.db", settings.services_folder / "mlflow" / "mlflow.db"
    found: dict[str, str] = {}
    for uri in sorted(used | ({f"sqlite:///{embedded}"} if embedded.exists() else set())):
        found |= {f"{uri} {name}": text for name, text in locks_of_models(Store(uri, settings.experiment)).items()}
    if not settings.service_variables:
        was_up = (settings.services_folder / "state.json").exists() and settings.mlflow_database is not None
        if was_up or (served.exists() and locks_of_models(Store(f"sqlite:///{served}", settings.experiment), artifacts=False)):
            raise ConfigError(
                "the MLflow server of `headrace up` is down, and the data of its models must stay: headrace up, then again."
            )
    return found


def _bucket(settings: Settings, *, must: bool) -> "tuple[Bucket | None, Remote | None]":
    if must:
        from headrace.storage.audit import bucket_remote

        place: Remote | None = bucket_remote(settings.project)
    else:
        place = default_remote(settings.project)
    if place is None or not place.is_s3:
        return None, None
    from headrace.storage.s3 import Bucket

    return Bucket(settings, place.bucket, endpoint=place.endpoint), place


def _fetcher(bucket: "Bucket", place: Remote) -> Callable[[str], bytes | None]:
    def fetch(md5: str) -> bytes | None:
        try:
            return bucket.read(place.key(md5), md5=md5.removesuffix(".dir"))
        except DataError:
            return None

    return fetch


def _young(held: list[Item], entries: dict[str, str], before: float) -> set[str]:
    """What results that are young made: somebody may be about to record them."""
    return {md5 for item in held if item.is_result and item.modified >= before for md5 in digests(entries.get(item.name, ""))}


def _entries(bucket: "Bucket", place: Remote, stored: list[Item], local: dict[str, str]) -> dict[str, str]:
    """Text of the bucket's run-cache; what this machine has too needs no reading, its name is its digest."""
    names = [item.name for item in stored if item.is_result]
    absent = [name for name in names if name not in local]
    with ThreadPoolExecutor(WORKERS) as readers:
        read = readers.map(lambda name: bucket.read(place.prefix + name).decode("utf-8", "replace"), absent)
        return {name: local[name] for name in names if name in local} | dict(zip(absent, read, strict=True))


def _place(
    name: str, held: list[Item], kept: Kept, entries: dict[str, str], before: float, cache: Path,
    fetch: Callable[[str], bytes | None] | None,
) -> Place:  # fmt: skip
    gone = unwanted(held, kept, entries, before=before)
    paths: dict[str, str] = {}
    for text in entries.values():
        paths |= outputs(text)
    going = {item.md5 for item in gone}
    for md5 in sorted(each for each in going if each.endswith(".dir") and each in paths):
        try:
            inside = expand([md5], cache, fetch).md5s
        except DataError:
            continue  # it goes, damaged as it is
        for each in inside:
            paths.setdefault(each, paths[md5])
    return Place(name, len(held), sum(item.size for item in held), gone, paths)


def _delete(gone: list[Item], act: Callable[[Item], None]) -> None:
    """Results, then lists of folders, then files: each kind only when the one before has gone."""
    with ThreadPoolExecutor(WORKERS) as workers:
        for kind in (
            [item for item in gone if item.is_result],
            [item for item in gone if item.md5.endswith(".dir")],
            [item for item in gone if item.md5 and not item.md5.endswith(".dir")],
        ):
            for _ in workers.map(act, kind):
                pass


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def lines(done: Collection) -> list[str]:
    """For people: kept for whom, what goes from where."""
    kept = ", ".join(
        (_count(len(done.checkouts), "checkout"), _count(done.revisions, "commit"), _count(done.models, "registered model"))
    )
    told = [f"kept is what these refer to: {kept} (commits that a branch, tag or stash names)"]
    told += [f"  {path}" for path in done.checkouts]
    told += [f"  {path} is gone{'' if done.is_dry else ', forgotten'}" for path in done.forgotten]
    if done.lost:
        told.append(f"  {_count(done.lost, 'folder')} named by them cannot be restored: the list of files is nowhere")
    for place in done.places:
        results = sum(item.is_result for item in place.gone)
        objects = len(place.gone) - results
        told.append(
            f"{place.name}: {objects:,} of {place.held:,} objects, {_size(place.freed_bytes)} of {_size(place.held_bytes)}, "
            f"{results:,} results of the run-cache{f', {place.uploads:,} unfinished uploads' if place.uploads else ''}"
        )
        told += [f"  {_size(size):>12}  {count:>6,}  {path}" for path, count, size in place.by_output()]
    would = "would be freed; nothing was deleted" if done.is_dry else "freed"
    return [*told, f"{_size(done.freed_bytes)} {would}"]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
