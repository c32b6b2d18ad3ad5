"""Two branches changed dvc.lock, data/sources.lock or the ledger: merge them by what they mean, not by lines.

`headrace setup` makes git call this (`merge=headrace-lock` in .gitattributes). An entry that one side changed is taken; where both changed
the same one, ours stays. No result can be wrong for that: DVC holds every entry of dvc.lock against the files that are there, and
`headrace sources refresh` every file of sources.lock against its source, so an entry that fits no longer is a stage that runs again.
"""

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from headrace.errors import ConfigError, HeadraceError, RegistryError
from headrace.params import read_yaml
from headrace.registry import ledger
from headrace.settings import environment_bin

DRIVER = "headrace-lock"
PATTERNS = ("dvc.lock", "data/sources.lock", "ledger.jsonl")
"""What .gitattributes gives to the driver."""

_ABSENT: Any = object()


@dataclass
class Merged:
    """What two sides became."""

    content: bytes
    notes: list[str] = field(default_factory=list)
    """Entries that both sides had changed, for whoever merges."""


def merge(name: str, base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """Merge a file of one of `PATTERNS`.

    Args:
        name: its path in the project.
        base: as the last common commit had it; empty when it had none.
        ours: of the branch that is checked out.
        theirs: of the branch that is merged in.

    Raises:
        ConfigError: one side is no such file, or has the marks of another merge; nothing was decided.
    """
    if ours == theirs or base == theirs:
        return Merged(ours)
    if base == ours:
        return Merged(theirs)
    kind = {"dvc.lock": _stages, "sources.lock": _sources, "ledger.jsonl": _ledger}.get(PurePosixPath(name).name)
    if kind is None:
        raise ConfigError(f"{name} is no file that Headrace knows how to merge: {', '.join(PATTERNS)}.")
    return kind(name, base, ours, theirs)


def merge_files(base: Path, ours: Path, theirs: Path, name: str) -> list[str]:
    """As git calls a merge driver: the result replaces `ours`. Returns what whoever merges should know."""
    merged = merge(name, base.read_bytes(), ours.read_bytes(), theirs.read_bytes())
    ours.write_bytes(merged.content)  # git's own temporary file, which it reads when we have ended
    return merged.notes


def driver_command() -> str:
    """What git is to call, by the absolute path of this environment: a shell that merges need not have it on its path."""
    return f"{shlex.quote(str(environment_bin() / 'headrace'))} merge-lock %O %A %B %P"


def _stages(name: str, base: bytes, ours: bytes, theirs: bytes) -> Merged:
    sides = [_lock(name, side, content) for side, content in (("base", base), ("ours", ours), ("theirs", theirs))]
    stages = [dict(side.pop("stages", None) or {}) for side in sides]
    merged, both = _entries(*stages)
    top, _ = _entries(*sides)
    notes = [
        f"{name}: both sides have an entry of their own for stage {key}; ours stays, and runs again if it is stale"
        for key in both
    ]
    return Merged(_as_dvc_writes({**top, "stages": merged}), notes)


def _sources(name: str, base: bytes, ours: bytes, theirs: bytes) -> Merged:
    from headrace.sources.snapshot import INITIAL, Lock, render

    sides = [_by_source(name, side, content) for side, content in (("base", base), ("ours", ours), ("theirs", theirs))]
    weights = [{INITIAL: each} if (each := side.pop(INITIAL, None)) else {} for side in sides]
    initial, twice_weights = _entries(*weights)
    merged, both = _entries(*sides)
    notes = []
    for key in both:
        entries = [side.get(key) for side in sides]
        if all(entry is None or set(entry) == {"source", "files"} for entry in entries):
            files = [{file["name"]: file for file in entry["files"]} if entry else {} for entry in entries]
            kept, twice = _entries(*files)
            in_order = all(list(each) == sorted(each) for each in files)
            merged[key] = {**merged[key], "files": [kept[file] for file in (sorted(kept) if in_order else kept)]}
        else:  # its mark tells of all its files at once
            twice = ["all of it"]
        label = json.loads(key).get("name", key)
        notes += [f"{name}: both sides changed {file} of source {label}; ours stays: headrace sources refresh" for file in twice]
    notes += [f"{name}: both sides changed the weights of {key}; ours stay: headrace sources refresh" for key in twice_weights]
    whole = {"format": 1, "sources": list(merged.values()), "initial": initial.get(INITIAL)}
    return Merged(render(Lock.model_validate(whole)).encode(), notes)


def _ledger(name: str, base: bytes, ours: bytes, theirs: bytes) -> Merged:
    del base
    for content in (ours, theirs):
        try:
            ledger.parse(content, name)
        except RegistryError as error:
            raise ConfigError(str(error)) from None
    longer, shorter = sorted((ours, theirs), key=len, reverse=True)
    if not longer.startswith(shorter):
        raise ConfigError(f"{name}: the two sides have different entries after the same one. Keep that of the state branch.")
    return Merged(longer)


def _entries(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Entry by entry: what one side changed, else ours. Also the keys that both changed, differently."""
    merged: dict[str, Any] = {}
    both: list[str] = []
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        was, mine, other = base.get(key, _ABSENT), ours.get(key, _ABSENT), theirs.get(key, _ABSENT)
        if mine in (was, other):
            taken = other
        elif other == was:
            taken = mine
        else:
            both.append(key)
            taken = mine if mine is not _ABSENT else other  # an entry that is there says more than one that is not
        if taken is not _ABSENT:
            merged[key] = taken
    return merged, both


def parse_yaml(name: str, content: bytes) -> dict[str, Any]:
    """A YAML mapping that is in no file here.

    Raises:
        ConfigError: it cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PurePosixPath(name).name
        path.write_bytes(content)
        try:
            return read_yaml(path)
        except HeadraceError as error:
            raise ConfigError(str(error).replace(str(path), name)) from None


def _lock(name: str, side: str, content: bytes) -> dict[str, Any]:
    try:
        found = parse_yaml(name, content)
    except ConfigError as error:
        raise ConfigError(_unreadable(name, side, str(error))) from None
    if not isinstance(found.get("stages") or {}, dict):
        raise ConfigError(_unreadable(name, side, "its stages are no mapping"))
    return found


def _by_source(name: str, side: str, content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    from pydantic import ValidationError

    from headrace.sources.snapshot import INITIAL, Lock

    try:
        values = json.loads(content)
        Lock.model_validate(values)
    except (ValueError, ValidationError, RecursionError) as error:
        raise ConfigError(_unreadable(name, side, " ".join(str(error).split())[:200])) from None
    initial = {INITIAL: values["initial"]} if values.get("initial") else {}
    return {json.dumps(entry["source"], sort_keys=True): entry for entry in values["sources"]} | initial


def _unreadable(name: str, side: str, why: str) -> str:
    remedy = "headrace sources refresh" if name.endswith("sources.lock") else "headrace run"
    return (
        f"{name}: the file of '{side}' cannot be read: {why.rstrip('.')}. Ours stays; take the side you trust with "
        f"`git checkout --ours {name}` or --theirs, then `{remedy}`, `git add {name}` and `git merge --continue`."
    )


def _as_dvc_writes(values: Mapping[str, Any]) -> bytes:
    """Byte for byte: else the next run would show every line as changed."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(dict(values), text)
    return text.getvalue().encode()
