"""The project as one commit has it, or as it lies here: files, dvc.lock, and outputs read from the cache or the remote by their hash.

Nothing is checked out: a small report of a branch costs one object, not a pull.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from headrace.errors import DataError
from headrace.fingerprint import file_md5
from headrace.project.lock_merge import parse_yaml
from headrace.settings import Settings
from headrace.state.git import Repository
from headrace.storage.dvc_config import cache_folder, default_remote
from headrace.storage.dvc_remote import cached, folder_md5

MAX_BYTES = 20_000_000
"""An output beyond this is not read for a comparison."""


@dataclass(frozen=True)
class Output:
    """An entry of dvc.lock."""

    path: str
    md5: str
    stage: str
    size: int
    files: int | None
    """Of a folder."""


class Contents:
    """Contents by DVC's hash: this machine's cache, else the remote.

    Args:
        settings: of the project.
        ask: reads an object of a remote that is neither a bucket nor a folder, None where it is not there.
    """

    def __init__(self, settings: Settings, ask: Callable[[str], bytes | None]) -> None:
        self._settings, self._ask = settings, ask
        self._cache = cache_folder(settings.project)
        self._remote = default_remote(settings.project)
        self._known: dict[str, bytes | None] = {}

    def read(self, md5: str) -> bytes | None:
        """The content of an object, None where nobody has it unharmed."""
        if md5 not in self._known:
            self._known[md5] = self._fetch(md5)
        return self._known[md5]

    def _fetch(self, md5: str) -> bytes | None:
        digest = md5.removesuffix(".dir")
        local = cached(self._cache, md5)
        if local.exists() and file_md5(local) == digest:
            return local.read_bytes()
        if self._bucket is not None and self._remote is not None:
            try:
                return bytes(self._bucket.read(self._remote.key(md5), md5=digest))
            except DataError:
                return None
        if self._remote is None:
            return None
        folder = remote_folder(self._settings)
        if folder is not None:
            path = cached(folder, md5)
            return path.read_bytes() if path.exists() and file_md5(path) == digest else None
        content = self._ask(md5)
        is_right = content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() == digest
        return content if is_right else None

    @functools.cached_property
    def _bucket(self) -> Any:
        if self._remote is None or not self._remote.is_s3:
            return None
        from headrace.storage.s3 import Bucket

        return Bucket(self._settings, self._remote.bucket, endpoint=self._remote.endpoint)


def remote_folder(settings: Settings) -> Path | None:
    """The folder that is the default remote, None where it is a bucket, a server or not there."""
    remote = default_remote(settings.project)
    if remote is None or "://" in remote.url:
        return None
    return settings.project / ".dvc" / remote.url


@dataclass(frozen=True)
class Version:
    """One version of the project."""

    project: Path
    commit: str | None
    """None: as it lies here."""
    objects: Contents

    def file(self, name: str) -> bytes | None:
        """A file that git has, None when this version lacks it."""
        if self.commit is not None:
            return Repository(self.project).read(self.commit, f"./{name}")
        path = self.project / name
        return path.read_bytes() if path.is_file() else None

    def yaml(self, name: str) -> dict[str, Any]:
        """A YAML file of it, {} where it is missing.

        Raises:
            ConfigError: it is not YAML.
        """
        content = self.file(name)
        return parse_yaml(name, content) if content else {}

    @functools.cached_property
    def entries(self) -> dict[str, Any]:
        """dvc.lock by stage."""
        return dict(self.yaml("dvc.lock").get("stages") or {})

    @functools.cached_property
    def outputs(self) -> dict[str, Output]:
        """What dvc.lock says was made, by path."""
        found = {}
        for stage, entry in self.entries.items():
            for out in entry.get("outs") or []:
                md5 = str(out.get("md5") or "")
                found[str(out["path"])] = Output(str(out["path"]), md5, stage, int(out.get("size") or 0), out.get("nfiles"))
        return found

    def made(self, path: str) -> Output | None:
        """The output that a path is, or is inside of."""
        parents = [path, *(str(parent) for parent in PurePosixPath(path).parents)]
        return next((self.outputs[each] for each in parents if each in self.outputs), None)

    def children(self, output: Output) -> dict[str, str] | None:
        """Files of a folder with their hashes, None when its list cannot be had; {} for a single file."""
        if not output.md5.endswith(".dir"):
            return {}
        content = self.objects.read(output.md5)
        return {str(each["relpath"]): str(each["md5"]) for each in json.loads(content)} if content is not None else None

    def digest(self, path: str) -> str | None:
        """DVC's hash of an output or of a part of one, None when it is not known."""
        output = self.made(path)
        if output is None or output.path == path:
            return output.md5 if output else None
        inside = path.removeprefix(f"{output.path}/")
        children = self.children(output)
        if children is None:
            return None
        if inside in children:
            return children[inside]
        part = {name.removeprefix(f"{inside}/"): md5 for name, md5 in children.items() if name.startswith(f"{inside}/")}
        return folder_md5(part) if part else None

    def read(self, path: str) -> bytes | None:
        """The content of an output's file, None when it is large, or nobody has it."""
        output = self.made(path)
        if output is None or (output.path == path and output.size > MAX_BYTES):
            return None
        digest = self.digest(path)
        return self.objects.read(digest) if digest is not None and not digest.endswith(".dir") else None

    def report(self, path: str) -> dict[str, Any]:
        """A JSON report, {} when it cannot be had."""
        content = self.read(path)
        try:
            found = json.loads(content) if content is not None else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def metrics(self) -> list[str]:
        """Files that dvc.yaml calls metrics."""
        return [name for stage in self._stages() for name in _names(stage.get("metrics"))]

    def plots(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Plots at the end of dvc.yaml: name and definition."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for each in self.yaml("dvc.yaml").get("plots") or []:
            found += [(str(name), body or {}) for name, body in each.items()] if isinstance(each, dict) else [(str(each), {})]
        return found

    def _stages(self) -> list[Mapping[str, Any]]:
        return [stage for stage in (self.yaml("dvc.yaml").get("stages") or {}).values() if isinstance(stage, dict)]


def versions(settings: Settings, against: str | None, *, ask: Callable[[str], bytes | None]) -> tuple[Version, Version | None]:
    """The project as it lies here, and as a commit has it; `ask` as of `Contents`."""
    objects = Contents(settings, ask)
    return Version(settings.project, None, objects), Version(settings.project, against, objects) if against else None


def _names(entries: Any) -> list[str]:
    listed = entries if isinstance(entries, list) else [entries] if entries else []
    return [str(next(iter(each)) if isinstance(each, dict) else each) for each in listed]
