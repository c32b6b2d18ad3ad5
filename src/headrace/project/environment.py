"""environment.json: the version of every package in requirements.lock; each stage lists the ones it imports as DVC params.

DVC reads a dotted name in a params file as nested keys, so names are in normal form (`ruamel-yaml`), which has no dots. Nested on purpose
are groups: `trainers.network` has the packages of one alternative, which dvc.yaml names by a template, `trainers.${train.trainer}`.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headrace import plugins
from headrace.dagfile import nested
from headrace.errors import ConfigError, EnvironmentMismatch
from headrace.storage.local import write_json

NAME = "environment.json"
LOCK = "requirements.lock"

RESULT_REVISIONS: dict[str, int] = {}
"""Stages of this package whose results changed since revision 1. In a user's project `headrace` is a package like any other, but
an upgrade reruns only the stages whose revision rose; raise it here when a golden result changes."""

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*(==\s*(?P<version>[^\s;\\,]+)|@\s*\S+)")


def normalise(name: str) -> str:
    """A distribution's name in normal form (PEP 503): lower case, dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()


def revisions() -> dict[str, int]:
    """The result revision of every stage of this package."""
    return {stage: RESULT_REVISIONS.get(stage, 1) for stage in plugins.names("stages")}


Groups = Mapping[str, Iterable[str]]
"""Packages of each group, by its dotted name such as `trainers.network`."""


def generate(lock: Path, groups: Groups | None = None) -> dict[str, Any]:
    """What environment.json holds for a lock file in pip's format.

    A package pinned to two versions by markers has both, joined by '|', so that the value is the same on every platform. A lock
    that holds headrace itself (a user's project) gets the result revision of each stage in place of its version.

    Raises:
        ConfigError: the lock is missing or a line pins nothing.
    """
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ConfigError(f"{lock} does not exist. Write it with `make lock` (or `uv pip compile --universal`).") from None
    pins: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line[0] in "# \t-":  # comments, hashes and pip options
            continue
        pin = _PIN.match(line)
        name = normalise(pin["name"]) if pin else ""
        if pin is None or (pin["version"] is None and name != "headrace"):
            raise ConfigError(f"{lock}:{number}: '{line[:80]}' is no exact pin (name==version). Write the lock with `make lock`.")
        known = pins.setdefault(name, [])
        if pin["version"] and public(pin["version"]) not in known:
            known.append(public(pin["version"]))
    versions: dict[str, Any] = {name: revisions() if name == "headrace" else "|".join(pins[name]) for name in sorted(pins)}
    found = dict(versions)
    for group, packages in sorted((groups or {}).items()):
        node = found
        for part in group.split("."):  # own code, `my.module:function`, is nested deeper, as DVC reads it
            node = node.setdefault(part, {})
        node |= {name: versions[name] for name in sorted(packages) if name in versions}
    return found


def public(number: str) -> str:
    """A version without its local part: the CPU build 2.13.0+cpu is 2.13.0."""
    return number.split("+", maxsplit=1)[0]


def write(project: Path, groups: Groups | None = None) -> dict[str, Any]:
    """Write environment.json from the project's requirements.lock and return it; without `groups` with those that it has."""
    environment = generate(project / LOCK, _groups(project) if groups is None else groups)
    write_json(project / NAME, environment)
    return environment


def _groups(project: Path) -> dict[str, list[str]]:
    """Groups of the environment.json that is there."""
    found: dict[str, list[str]] = {}

    def walk(node: Mapping[str, Any], path: str) -> None:
        inner = {name: value for name, value in node.items() if isinstance(value, Mapping)}
        if path and (len(inner) < len(node) or not node):
            found[path] = sorted(node.keys() - inner.keys())
        for name, value in inner.items():
            walk(value, f"{path}.{name}" if path else name)

    with contextlib.suppress(ConfigError):  # not there yet, or about to be replaced
        for name, value in read(project).items():
            if isinstance(value, Mapping) and name != "headrace":
                walk({name: value}, "")
    return found


def read(project: Path) -> dict[str, Any]:
    """The project's environment.json.

    Raises:
        ConfigError: it is missing or is not a JSON mapping.
    """
    path = project / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. `headrace lint --fix` writes it from {LOCK}.") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}). `headrace lint --fix` writes it anew from {LOCK}.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold a mapping of packages. `headrace lint --fix` writes it anew from {LOCK}.")
    return found


def check_installed(names: Iterable[str], path: Path) -> None:
    """Refuse to work with other packages than environment.json says: the result would be stored under the wrong key.

    Args:
        names: keys of environment.json that a stage lists, such as 'torch', or 'headrace.train' in a user's project.
        path: the project's environment.json.

    Raises:
        ConfigError: environment.json cannot be read.
        EnvironmentMismatch: names every package that differs, the version wanted and the one installed.
    """
    environment = read(path.parent)
    alone = [package for name in names for package in _members(name, environment)]
    faults = [fault for name in dict.fromkeys(alone) if (fault := _fault(name, environment))]
    if faults:
        raise EnvironmentMismatch(
            f"the installed packages are not those of {NAME}: {'; '.join(faults)}. "
            f"Install the locked environment (`make install`, or pip install -r {LOCK}), or update the lock "
            "(`make lock`; in a project of your own `headrace lock`)."
        )


def check_revisions(project: Path) -> None:
    """Refuse to call results up to date that this version of the package would make otherwise: DVC sees environment.json only.

    Raises:
        EnvironmentMismatch: the result revision of a stage is not the one in a user's environment.json.
    """
    if (project / NAME).exists():
        wanted = read(project).get("headrace")
        check_installed([f"headrace.{stage}" for stage in wanted] if isinstance(wanted, dict) else [], project / NAME)


def _members(name: str, environment: Mapping[str, Any]) -> list[str]:
    """The packages of a group; any other key is itself."""
    found = nested(environment, name)
    return sorted(found) if isinstance(found, Mapping) and name.partition(".")[0] != "headrace" else [name]


def _fault(name: str, environment: Mapping[str, Any]) -> str:
    package, _, stage = name.partition(".")
    if package not in environment:
        return f"{name} is not in {NAME}"
    wanted = environment[package]
    if package == "headrace":
        found = revisions()
        stages = [stage] if stage else sorted({*found, *wanted})
        differing = [s for s in stages if found.get(s) != wanted.get(s)]
        return f"headrace has other result revisions for {', '.join(differing)}: run `headrace lock`" if differing else ""
    try:
        installed = public(version(package))
    except PackageNotFoundError:
        return f"{package} {wanted} is not installed"
    return "" if installed in str(wanted).split("|") else f"{package} {installed} is installed, {wanted} is wanted"
