"""How DVC lays out its remote, cache and configuration: the one place that knows. Imports no dvc, so that it costs nothing to ask.

Read from DVC 3.67: an object is `files/md5/ab/cdef...` in cache and remote alike; a folder is an object whose name ends with `.dir`, a
JSON list of its files; what a stage made is in dvc.lock.
"""

import configparser
import hashlib
import io
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError
from headrace.params import read_yaml
from headrace.settings import Settings, git
from headrace.storage.local import write_text


@dataclass(frozen=True)
class Remote:
    """The default remote of a project."""

    name: str
    url: str
    endpoint: str | None
    is_verified: bool
    """Whether DVC compares what it pulls with its hash; it does not by default, and then takes corrupted objects for right."""

    @property
    def is_s3(self) -> bool:
        """Whether it is a bucket."""
        return self.url.startswith("s3://")

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        """What the keys begin with, '' or ending with a slash."""
        path = urllib.parse.urlsplit(self.url).path.strip("/")
        return f"{path}/" if path else ""

    @property
    def objects(self) -> str:
        """What the keys of objects begin with."""
        return f"{self.prefix}files/md5/"

    def key(self, md5: str) -> str:
        """Key of an object."""
        return f"{self.objects}{md5[:2]}/{md5[2:]}"


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


def default_remote(project: Path) -> Remote | None:
    """The remote that `core.remote` names, None without one.

    Raises:
        ConfigError: it names one that is not there, or a file cannot be read.
    """
    config = _config(project)
    name = config.get("core", "remote", fallback="")
    if not name:
        return None
    section = _section(name)
    url = config.get(section, "url", fallback="")
    if not url:
        raise ConfigError(f".dvc/config names the remote {name!r}, and there is none. headrace remote add s3://bucket/prefix")
    return Remote(
        name=name,
        url=url,
        endpoint=config.get(section, "endpointurl", fallback="") or None,
        is_verified=config.get(section, "verify", fallback="false").strip().lower() in {"true", "1", "yes", "on"},
    )


def check_verified(remote: Remote) -> None:
    """Refuse a remote that gives what it has without comparing it.

    Raises:
        ConfigError: it lacks verify = true.
    """
    if not remote.is_verified:
        raise ConfigError(
            f"the remote {remote.name!r} lacks verify = true: DVC would take corrupted objects for right. "
            f"dvc remote modify {remote.name} verify true"
        )


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


def write_remote(project: Path, remote: Remote, *, shared: bool) -> Path:
    """Make it the default remote; returns the file: .dvc/config, which git shares, or .dvc/config.local of this checkout."""
    path = project / ".dvc" / ("config" if shared else "config.local")
    config = configparser.ConfigParser(interpolation=None)
    if path.exists():
        _read(config, path)
    section = _section(remote.name)
    config.remove_section(section)
    config.add_section(section)
    values = {"url": remote.url, "verify": "true", **({"endpointurl": remote.endpoint} if remote.endpoint else {})}
    for key, value in values.items():
        config.set(section, key, value)
    if not config.has_section("core"):
        config.add_section("core")
    config.set("core", "remote", remote.name)
    text = io.StringIO()
    config.write(text)
    write_text(path, text.getvalue())
    return path


def cache_folder(project: Path) -> Path:
    """Where DVC keeps objects on this machine."""
    return project / ".dvc" / (_config(project).get("cache", "dir", fallback="") or "cache")


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


def _section(name: str) -> str:
    return f"'remote \"{name}\"'"


def _config(project: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    for name in ("config", "config.local"):
        path = project / ".dvc" / name
        if path.exists():
            _read(config, path)
    return config


def _read(config: configparser.ConfigParser, path: Path) -> None:
    try:
        config.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}. Correct it by hand.") from None


def with_values(config: str, wanted: Mapping[str, Mapping[str, str]]) -> str:
    """The text of a DVC configuration with these values by section and key; all others stay."""
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(config)
    for section, values in wanted.items():
        if not parsed.has_section(section):
            parsed.add_section(section)
        for key, value in values.items():
            parsed.set(section, key, value)
    text = io.StringIO()
    parsed.write(text)
    return text.getvalue()
