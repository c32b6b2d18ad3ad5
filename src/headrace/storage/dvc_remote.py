"""How DVC lays out its remote and cache: the one place that knows. Imports no dvc, so that it costs nothing to ask.

Read from DVC 3.67: an object is `files/md5/ab/cdef...` in cache and remote alike; a folder is an object whose name ends with `.dir`, a
JSON list of its files; what a stage made is in dvc.lock.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError
from headrace.params import read_yaml
from headrace.settings import Settings, git
from headrace.storage.dvc_config import default_remote


@dataclass(frozen=True)
class Need:
    """An object that dvc.lock needs."""

    md5: str
    """As DVC writes it: with `.dir` for the list of a folder's files."""
    output: str
    """The first output that needs it, as path or folder/file."""
    stage: str
    size: int | None
    """Where dvc.lock says it."""

    @property
    def digest(self) -> str:
        """MD5 of its bytes."""
        return self.md5.removesuffix(".dir")


def client_variables(settings: Settings) -> dict[str, str]:
    """What DVC's process needs in its environment to use the default remote; empty when that is no bucket."""
    remote = default_remote(settings.project)
    if remote is None or not remote.is_s3:
        return {}
    return client_of(settings, remote.endpoint or settings.s3_endpoint)


def client_of(settings: Settings, endpoint: str | None) -> dict[str, str]:
    """What any S3 client that is not ours needs in its environment for this server: DVC's process, MLflow's server."""
    found = settings.s3_variables(endpoint)
    if endpoint:  # servers other than Amazon's refuse the client's new default
        found |= {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
    return found


def cached(cache: Path, md5: str) -> Path:
    """An object's file in the cache, whether or not it is there."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def folder_md5(members: Mapping[str, str]) -> str:
    """DVC's name for a folder of these files, path to MD5: the MD5 of their list, as DVC writes it."""
    listed = [{"md5": md5, "relpath": name} for name, md5 in sorted(members.items())]
    return f"{hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"


def needed(project: Path, read_list: Callable[[Need], bytes | None]) -> dict[str, Need]:
    """Every object that dvc.lock needs, by MD5; outputs that are not cached, or not pushed to it, need none.

    Args:
        project: the project's folder.
        read_list: gives the content of a folder's object, None when it cannot be had: then its files are not known.

    Raises:
        ConfigError: there is no dvc.lock, or it cannot be read.
    """
    path = project / "dvc.lock"
    if not path.exists():
        raise ConfigError(f"{project} has no dvc.lock: nothing was run or fetched here yet. headrace run, or git pull")
    elsewhere = _not_pushed(project / "dvc.yaml")
    found: dict[str, Need] = {}
    for stage, entry in sorted((read_yaml(path).get("stages") or {}).items()):
        for out in entry.get("outs") or []:
            md5 = str(out.get("md5") or "")
            if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5) or out.get("hash") != "md5" or out["path"] in elsewhere:
                continue
            is_folder = md5.endswith(".dir")
            need = Need(md5, str(out["path"]), str(stage), None if is_folder else out.get("size"))
            found.setdefault(md5, need)
            if is_folder:
                for child in _children(need, read_list(need)):
                    found.setdefault(child.md5, child)
    return found


def names_more_than_the_lock(project: Path) -> bool:
    """Whether more is to be sent than the outputs in dvc.lock: files of `dvc add`, outputs with a remote of their own."""
    if re.search(r"\bremote:", (project / "dvc.yaml").read_text(encoding="utf-8")):
        return True
    return bool(git(project, "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.dvc"))


def _children(need: Need, content: bytes | None) -> Iterator[Need]:
    for each in json.loads(content) if content is not None else []:
        yield Need(str(each["md5"]), f"{need.output}/{each['relpath']}", need.stage, None)


def _not_pushed(path: Path) -> set[str]:
    def of(stage: Any) -> Iterator[str]:
        for kind in ("outs", "metrics", "plots"):
            entries = stage.get(kind) or []
            for entry in entries if isinstance(entries, list) else [entries]:
                for name, options in entry.items() if isinstance(entry, dict) else ():
                    if not isinstance(options, dict):
                        continue
                    if not (options.get("cache", True) and options.get("push", True)) or "remote" in options:
                        yield str(name)

    stages = (read_yaml(path).get("stages") or {}).values()
    return {name for stage in stages if isinstance(stage, dict) for name in of(stage)}
