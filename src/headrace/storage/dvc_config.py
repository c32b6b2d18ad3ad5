"""What DVC's configuration says of remote and cache. Imports no dvc and no settings: a transfer asks before it reads them."""

import configparser
import io
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError
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
