"""Recipes: complete params.yaml files. Using one is a copy, so switching back finds every stage's result in the cache."""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, ParamsError, SourceError
from headrace.params import did_you_mean, parse_section, read_yaml
from headrace.project import schema
from headrace.storage.local import write_bytes, write_text

FOLDER = "recipes"
_SENTENCE = re.compile(r"(?<=[.?])(?<!al\.) (?=\S)")
"""Where one ends; not after the authors of a paper."""


@dataclass(frozen=True)
class Recipe:
    """One file of recipes/."""

    name: str
    path: Path
    summary: str
    """The first sentence of its comment."""
    is_current: bool
    """Whether params.yaml holds the same values."""


def list_recipes(project: Path) -> list[Recipe]:
    """Every recipe of a project, by name."""
    params = project / "params.yaml"
    current = read_yaml(params) if params.exists() else None
    found = []
    for path in sorted((project / FOLDER).glob("*.yaml"), key=lambda path: path.stem):
        lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        summary = _SENTENCE.split(" ".join(line.lstrip("# ").strip() for line in lines), maxsplit=1)[0]
        found.append(Recipe(path.stem, path, summary, current is not None and read_yaml(path) == current))
    return found


def use(project: Path, name: str, *, force: bool = False) -> str:
    """Make a recipe the project's params.yaml and pin its sources in data/sources.lock, without a network.

    Args:
        project: top folder.
        name: file name in recipes/, without .yaml.
        force: replace a params.yaml whose edits are in no recipe and no commit; a copy is kept in .headrace/.

    Returns:
        What was done, in a sentence.

    Raises:
        ParamsError: no such recipe, it holds wrong values, or params.yaml has edits that would be lost.
    """
    known = {recipe.name: recipe for recipe in list_recipes(project)}
    if name not in known:
        raise ParamsError(f"there is no recipe '{name}' in {FOLDER}/.{did_you_mean(name, known)}")
    recipe, params = known[name], project / "params.yaml"
    lock = _pinned(project, read_yaml(recipe.path))
    kept = ""
    if params.exists() and not any(other.is_current for other in known.values()) and _has_edits(project):
        if not force:
            raise ParamsError(
                f"{params.name} has edits that are in no recipe and no commit; recipe '{name}' would replace them. "
                f"Commit them, save them as {FOLDER}/<name>.yaml, or repeat with --force (a copy is kept in .headrace/)."
            )
        backup = _backup(project, params)
        kept = f" Your edits are in {backup.relative_to(project)}."
    write_bytes(params, recipe.path.read_bytes())
    if lock is None:
        return f"params.yaml is recipe {name}.{kept} Run `headrace sources refresh` to pin its sources, then `headrace run`."
    write_text(project / "data" / "sources.lock", lock)
    return f"params.yaml is recipe {name}, data/sources.lock pins its sources.{kept} Now: headrace run"


def _pinned(project: Path, values: dict[str, Any]) -> str | None:
    """The text of data/sources.lock for these params; None when a source can be known only by asking it."""
    from headrace.sources.initial import asked_for, pin_initial
    from headrace.sources.places import Places
    from headrace.sources.snapshot import pin, read_lock, render

    # Only `collect` knows sources; a project without it has none to pin.
    collect = schema.section_of(project, "collect")
    if collect is None or "collect" not in values:
        return None
    section: Any = parse_section(values["collect"], "collect", collect, where="the recipe")
    places = Places(project=project, downloads=project / ".headrace" / "downloads")
    path = project / "data" / "sources.lock"
    try:
        previous = read_lock(path) if path.exists() else None
    except SourceError:
        previous = None  # what it held cannot be read, and is about to be replaced
    try:
        initial = pin_initial(asked_for(values), places, previous.initial if previous else None)
        return render(pin(section.sources, places, previous=previous).model_copy(update={"initial": initial}))
    except SourceError:
        return None


def _has_edits(project: Path) -> bool:
    """Whether params.yaml differs from the last commit; true where git cannot tell."""
    try:
        ended = subprocess.run(
            ["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], cwd=project, capture_output=True, check=False
        )
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", "params.yaml"], cwd=project, capture_output=True, check=False
        )
    except FileNotFoundError:
        return True
    return ended.returncode != 0 or tracked.returncode != 0


def _backup(project: Path, params: Path) -> Path:
    content = params.read_bytes()
    path = project / ".headrace" / "backups" / f"params-{hashlib.sha256(content).hexdigest()[:12]}.yaml"
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}), so params.yaml was left as it is.") from None
    return path
