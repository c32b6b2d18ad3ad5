"""Objects of DVC by their MD5: found in this machine's cache, else in the remote, and never believed before they are hashed."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from headrace.errors import DataError
from headrace.fingerprint import file_md5
from headrace.settings import Settings
from headrace.storage.dvc_config import Remote, cache_folder, default_remote
from headrace.storage.dvc_remote import cached
from headrace.storage.s3 import Bucket


@dataclass(frozen=True, slots=True)
class Found:
    """An object that was read and hashed."""

    where: str
    """cache or remote."""
    size: int


@dataclass
class Objects:
    """The objects of a project."""

    settings: Settings
    _found: dict[str, Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cache = cache_folder(self.settings.project)
        self._remote: Remote | None = default_remote(self.settings.project)
        self._bucket: Bucket | None = None

    def hash(self, md5: str) -> Found:
        """Read an object and compare it with its name; each once.

        Raises:
            DataError: it is neither here nor in the remote, or not what its name says.
        """
        if md5 not in self._found:
            self._found[md5] = self._hash(md5)
        return self._found[md5]

    def members(self, md5: str) -> dict[str, str]:
        """The files of a folder's object: path below the folder to MD5.

        Raises:
            DataError: as `hash`.
        """
        return {str(each["relpath"]): str(each["md5"]) for each in json.loads(self.read(md5))}

    def read(self, md5: str) -> bytes:
        """The content of an object, right or not at all.

        Raises:
            DataError: as `hash`.
        """
        local = cached(self._cache, md5)
        content = local.read_bytes() if local.is_file() else self._from_remote(md5)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            raise DataError(_corrupted(local if local.is_file() else self._place(md5)))
        return content

    def copy(self, md5: str, cache: Path) -> None:
        """Put an object into another cache, a link where the file system allows it.

        Raises:
            DataError: as `hash`.
        """
        local, target = cached(self._cache, md5), cached(cache, md5)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.hash(md5).where == "cache":
            try:
                target.hardlink_to(local)
            except OSError:
                shutil.copyfile(local, target)
        elif self._bucket is not None and self._remote is not None:
            self._bucket.download(self._remote.key(md5), target, md5=md5.removesuffix(".dir"))
        else:
            target.write_bytes(self.read(md5))

    def _hash(self, md5: str) -> Found:
        local = cached(self._cache, md5)
        if local.is_file():
            if file_md5(local) != md5.removesuffix(".dir"):
                raise DataError(_corrupted(local))
            return Found("cache", local.stat().st_size)
        if self._remote is not None and self._remote.is_s3:
            bucket, key = self._open(self._remote), self._remote.key(md5)
            stored = bucket.head(key)
            if stored is None:
                raise DataError(f"neither this machine's cache nor {self._remote.url} has {md5}")
            if bucket.md5(key) != md5.removesuffix(".dir"):
                raise DataError(_corrupted(self._place(md5)))
            return Found("remote", stored.size)
        return Found("remote", len(self.read(md5)))

    def _from_remote(self, md5: str) -> bytes:
        if self._remote is None:
            raise DataError(f"this machine's cache does not have {md5}, and there is no remote")
        if self._remote.is_s3:
            return self._open(self._remote).read(self._remote.key(md5))
        path = cached(self.settings.project / ".dvc" / self._remote.url, md5)
        if not path.is_file():
            raise DataError(f"neither this machine's cache nor {self._remote.url} has {md5}")
        return path.read_bytes()

    def _open(self, remote: Remote) -> Bucket:
        if self._bucket is None:
            self._bucket = Bucket(self.settings, remote.bucket, endpoint=remote.endpoint)
        return self._bucket

    def _place(self, md5: str) -> str:
        remote = self._remote
        return f"{remote.url}: {remote.key(md5) if remote.is_s3 else md5}" if remote is not None else md5


def _corrupted(where: Path | str) -> str:
    mend = "delete it, then `headrace run` fetches or makes it again"
    if not isinstance(where, Path):
        mend = "`headrace remote audit --repair` stores it again from a machine that has it"
    return f"{where} is corrupted, its MD5 is not its name: {mend}"
