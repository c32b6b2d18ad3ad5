"""requirements.lock of a user's project: what is installed where Headrace runs, exactly, without asking an index."""

import json
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from headrace.errors import ConfigError
from headrace.project.environment import LOCK, normalise, public, write
from headrace.storage.local import write_text

_HEAD = (
    "# What was installed when this was written, of all that Headrace needs; `headrace lock` writes it anew. environment.json is made of\n"
    "# it: a stage runs again when a package it imports has another version. Add what your own code imports, then: headrace lint --fix\n"
)


def installed() -> dict[str, str]:
    """Headrace and every package it requires here, by name, each as a line of a lock; extras and markers are followed."""
    pins: dict[str, str] = {}
    waiting = [("headrace", frozenset[str]())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform, or brought by nobody: the stage that imports it says so
        pins[name] = _pin(name, found)
        waiting += _required(found, extras)
    return dict(sorted(pins.items()))


def _required(found: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    from packaging.requirements import Requirement

    for text in found.requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield normalise(wanted.name), frozenset(wanted.extras)


def _pin(name: str, found: Distribution) -> str:
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if "vcs_info" in origin:  # a path of this machine would be of no use to others
        return f"{name} @ {origin['vcs_info']['vcs']}+{origin['url']}@{origin['vcs_info']['commit_id']}"
    return f"{name}=={public(found.version)}"


def lock_text(kept: str = "") -> str:
    """The lock of what is installed.

    Args:
        kept: a lock before it, whose packages that Headrace does not require stay as they are, at their installed version.
    """
    pins = installed()
    for line in kept.splitlines():
        name = normalise(line.partition("==")[0].strip())
        if "==" in line and not line.startswith("#") and name not in pins:
            try:
                pins[name] = _pin(name, distribution(name))
            except PackageNotFoundError:
                pins[name] = line.strip()
    return _HEAD + "".join(f"{pin}\n" for _, pin in sorted(pins.items()))


def lock(project: Path) -> list[str]:
    """Write requirements.lock and environment.json of a user's project from what is installed; returns the lines that changed.

    Raises:
        ConfigError: it is the project of Headrace itself, whose lock is made for every platform.
    """
    if (project / "src" / "headrace").is_dir():
        raise ConfigError("the lock of Headrace itself is resolved for every platform: make lock")
    path = project / LOCK
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    text = lock_text(before)
    write_text(path, text)
    write(project)
    old = {line for line in before.splitlines() if not line.startswith("#")}
    return [line for line in text.splitlines() if not line.startswith("#") and line not in old]
