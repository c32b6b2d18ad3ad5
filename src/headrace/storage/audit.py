"""Does the bucket hold what dvc.lock needs, and is it what it was? DVC asks neither: it takes a folder's list for its files."""

import hashlib
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.errors import ConfigError, DataError
from headrace.fingerprint import file_md5
from headrace.settings import Settings, require_project
from headrace.storage.dvc_config import Remote, cache_folder, default_remote
from headrace.storage.dvc_remote import Need, cached, needed
from headrace.storage.objects import Stored
from headrace.storage.s3 import Bucket

READERS = 8
SAMPLE = 20
MD5_CHARS = 32
MAX_SHOWN = 20
FEW = 200


@dataclass(frozen=True)
class Broken:
    """An object that is not as it should be."""

    what: str
    """missing or corrupted."""
    key: str
    stage: str
    output: str
    why: str
    is_repaired: bool = False


@dataclass(frozen=True)
class Audit:
    """What was found."""

    remote: str
    objects: int
    """That dvc.lock needs."""
    size: int
    """Bytes of those that are there."""
    hashed: int
    """Objects that were read and hashed."""
    broken: list[Broken] = field(default_factory=list)

    @property
    def left(self) -> list[Broken]:
        """What is broken still."""
        return [each for each in self.broken if not each.is_repaired]

    @property
    def headline(self) -> str:
        """The result in a line."""
        state = f"{len(self.left):,} broken" if self.left else "all there"
        mended = f", {len(self.broken) - len(self.left):,} repaired" if len(self.broken) > len(self.left) else ""
        return f"{self.remote}: {self.objects:,} objects, {self.size / 1e6:,.1f} MB, {self.hashed:,} hashed; {state}{mended}"


def audit(settings: Settings, bucket: Bucket | None = None, *, sample: int | None = SAMPLE, repair: bool = False) -> Audit:
    """Compare the default remote with dvc.lock.

    A listing tells what is missing, sizes, and for most objects the MD5 that the server took at storing. That leaves what changed
    inside the server, or was stored in parts: those are read and hashed, a sample or all.

    Args:
        settings: of this machine and project.
        bucket: that of the default remote, where a client of it is at hand.
        sample: how many to hash beside those that look wrong; None: all.
        repair: store missing and corrupted ones again from this machine's cache, where the copy hashes right.

    Raises:
        ConfigError: no remote, or one that is no bucket; keys that are missing, refused or expired.
        EngineError: the server does not answer.
    """
    remote = bucket_remote(settings.project)
    bucket = bucket or Bucket(settings, remote.bucket, endpoint=remote.endpoint)
    cache = cache_folder(settings.project)
    needs = needed(settings.project, lambda need: _read_list(need, bucket, remote, cache))
    stored = {each.key: each for each in _stored(bucket, remote, needs)}
    broken, doubted, rest = _look(needs, stored, remote, cache)
    rest = rest if sample is None else random.Random().sample(rest, min(sample, len(rest)))
    with ThreadPoolExecutor(READERS) as readers:
        hashes = list(readers.map(lambda need: _md5(bucket, remote.key(need.md5)), doubted + rest))
    for need, md5 in zip(doubted + rest, hashes, strict=True):
        if md5 is None:
            broken[need.md5] = _broken("missing", need, remote, "it has gone since the listing")
        elif md5 != need.digest:
            broken[need.md5] = _broken("corrupted", need, remote, f"its MD5 is {md5}")
    if repair:
        broken = {md5: _repair(each, needs[md5], bucket, cache) for md5, each in broken.items()}
    there = sum(stored[remote.key(md5)].size for md5 in needs if remote.key(md5) in stored)
    ordered = sorted(broken.values(), key=lambda each: (each.stage, each.output, each.key))
    return Audit(remote.url, len(needs), there, len(hashes), ordered)


def _stored(bucket: Bucket, remote: Remote, needs: dict[str, Need]) -> Iterable[Stored]:
    """What is there of what is needed: asked one by one where that is little, since a team's bucket has many objects more."""
    if len(needs) > FEW:
        return bucket.objects(remote.objects)
    with ThreadPoolExecutor(READERS) as readers:
        return [each for each in readers.map(lambda md5: bucket.head(remote.key(md5)), needs) if each is not None]


def bucket_remote(project: Path) -> Remote:
    """The default remote, which must be a bucket.

    Raises:
        ConfigError: there is none, or it is something else.
    """
    remote = default_remote(project)
    if remote is None:
        require_project(project)
        raise ConfigError("this project has no remote. headrace remote add s3://bucket/prefix")
    if not remote.is_s3:
        raise ConfigError(f"the remote {remote.name!r} is {remote.url}; only s3:// remotes can be looked at.")
    return remote


def _read_list(need: Need, bucket: Bucket, remote: Remote, cache: Path) -> bytes | None:
    local = cached(cache, need.md5)
    if local.exists():
        content = local.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == need.digest:
            return content
    try:
        return bucket.read(remote.key(need.md5), md5=need.digest)
    except DataError:
        return None  # named as missing or corrupted by what follows


def _look(
    needs: dict[str, Need], stored: dict[str, Stored], remote: Remote, cache: Path
) -> tuple[dict[str, Broken], list[Need], list[Need]]:
    """By the listing alone: what is broken, what must be read to know, and what looks right."""
    broken: dict[str, Broken] = {}
    doubted: list[Need] = []
    right: list[Need] = []
    for md5, need in needs.items():
        found = stored.get(remote.key(md5))
        if found is None:
            broken[md5] = _broken("missing", need, remote, "the bucket does not list it")
        elif need.size is not None and found.size != need.size:
            broken[md5] = _broken("corrupted", need, remote, f"it has {found.size:,} bytes instead of {need.size:,}")
        elif found.etag == need.digest:
            right.append(need)
        elif len(found.etag) == MD5_CHARS or not _has_size(cached(cache, md5), found.size):
            doubted.append(need)
        else:  # stored in parts, with the size of the copy here
            right.append(need)
    return broken, doubted, right


def _has_size(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _broken(what: str, need: Need, remote: Remote, why: str) -> Broken:
    return Broken(what, remote.key(need.md5), need.stage, need.output, why)


def _md5(bucket: Bucket, key: str) -> str | None:
    """MD5 of an object as it is given now; None when it is no longer there."""
    return bucket.md5(key) if bucket.head(key) is not None else None


def _repair(each: Broken, need: Need, bucket: Bucket, cache: Path) -> Broken:
    local = cached(cache, need.md5)
    if not local.exists():
        return replace(each, why=f"{each.why}; this machine's cache has no copy: repair it where it has")
    if file_md5(local) != need.digest:
        return replace(each, why=f"{each.why}; the copy in this machine's cache is corrupted too: {local}")
    bucket.put(each.key, local)
    found = bucket.md5(each.key)
    if found != need.digest:
        return replace(each, why=f"{each.why}; stored again, its MD5 is {found}")
    return replace(each, is_repaired=True)


def lines(found: Audit) -> list[str]:
    """For people: the headline, then each broken object with the output it belongs to."""
    shown = found.broken[:MAX_SHOWN]
    told = [
        f"{'repaired' if each.is_repaired else each.what:<9} {each.output} ({each.stage}): {each.key}; {each.why}"
        for each in shown
    ]
    more = len(found.broken) - len(shown)
    return [found.headline, *told, *([f"... and {more:,} more; --json names all"] if more else [])]
