"""What a branch changes: params, metrics, data and outputs of two versions of the project, as rows of tables."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from headrace.project.version import Output, Version
from headrace.sources.snapshot import Lock, differences

DATASET = "dataset.json"
SAME = 1e-12
"""Share of a number below which a difference is rounding."""

MAX_NAMED = 3


@dataclass(frozen=True)
class Row:
    """One thing that differs; None: it is not there."""

    what: str
    before: Any
    after: Any

    @property
    def change(self) -> float | None:
        """Of numbers."""
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in (self.before, self.after)):
            return float(self.after) - float(self.before)
        return None


def params(old: Version, new: Version) -> list[Row]:
    """Values of params.yaml that differ."""
    return _rows(dict(_leaves(old.yaml("params.yaml"))), dict(_leaves(new.yaml("params.yaml"))))


def metrics(old: Version | None, new: Version) -> tuple[list[Row], list[Row]]:
    """Numbers in the reports: those that differ, and those that do not (all of them, without a version to compare with)."""
    before = _numbers(old) if old is not None else {}
    after = _numbers(new)
    if old is None:
        return [], [Row(name, None, value) for name, value in after.items()]
    changed = _rows(before, after)
    names = {row.what for row in changed}
    return changed, [Row(name, value, value) for name, value in after.items() if name not in names]


def sources(old: Version, new: Version) -> list[str]:
    """What came, went and changed in data/sources.lock, a line for each source."""
    before, after = _lock(old), _lock(new)
    if after is None:
        return [] if before is None else ["data/sources.lock is gone"]
    counts: dict[str, dict[str, list[str]]] = {}
    for change in differences(before, after):
        counts.setdefault(change.source, {}).setdefault(change.what, []).append(change.file)
    return [
        f"{source}: " + "; ".join(f"{len(files):,} {what} ({_named(files)})" for what, files in sorted(kinds.items()))
        for source, kinds in sorted(counts.items())
    ]


def data_sets(old: Version | None, new: Version) -> list[Row]:
    """Rows of every data set, and of every class whose share changed by them."""
    before = dict(_data_sets(old)) if old is not None else {}
    after = dict(_data_sets(new))
    return _rows(before, after) if old is not None else [Row(name, None, rows) for name, rows in after.items()]


def outputs(old: Version, new: Version) -> list[Row]:
    """Outputs that differ, with files and bytes."""
    names = sorted(old.outputs.keys() | new.outputs.keys())
    return [
        Row(name, _size(old.outputs.get(name)), _size(new.outputs.get(name)))
        for name in names
        if _md5(old.outputs.get(name)) != _md5(new.outputs.get(name))
    ]


def _numbers(version: Version) -> dict[str, Any]:
    return {
        f"{PurePosixPath(path).stem}.{key}": value
        for path in version.metrics()
        for key, value in _leaves(version.report(path))
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _data_sets(version: Version) -> Iterator[tuple[str, int]]:
    for output in version.outputs.values():
        for name in sorted(version.children(output) or {}):
            if PurePosixPath(name).name != DATASET:
                continue
            path = f"{output.path}/{name}"
            found = version.report(path)
            folder = str(PurePosixPath(path).parent)
            yield folder, int(found.get("rows") or 0)
            yield from ((f"{folder}, class {each}", int(rows)) for each, rows in (found.get("by_class") or {}).items())


def _lock(version: Version) -> Lock | None:
    content = version.file("data/sources.lock")
    try:
        return Lock.model_validate_json(content) if content is not None else None
    except ValidationError:
        return None


def _rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    names = [*after, *(name for name in before if name not in after)]
    return [Row(name, before.get(name), after.get(name)) for name in names if not _equal(before.get(name), after.get(name))]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=SAME, abs_tol=SAME)
    return bool(a == b)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _leaves(inner, f"{key}.{part}" if key else str(part))
    elif isinstance(value, list):
        yield key, json.dumps(value, default=str)
    else:
        yield key, value


def _size(output: Output | None) -> str | None:
    if output is None:
        return None
    files = f"{output.files:,} files, " if output.files is not None else ""
    return f"{files}{output.size:,} bytes"


def _md5(output: Output | None) -> str | None:
    return output.md5 if output is not None else None


def _named(files: list[str]) -> str:
    more = f" and {len(files) - MAX_NAMED:,} more" if len(files) > MAX_NAMED else ""
    return ", ".join(sorted(files)[:MAX_NAMED]) + more
