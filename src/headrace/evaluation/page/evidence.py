"""What a project's folder holds of a run, read tolerantly: a missing or unreadable piece is absent, never a crash."""

import csv
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.params import read_yaml

MAX_BYTES = 64 * 1024 * 1024
"""A larger file is no report of a stage."""


class Evidence:
    """Reports, plots, params and the DAG of one project."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.reports = project / "reports"

    def report(self, name: str) -> dict[str, Any]:
        """reports/<name>.json; empty when there is none."""
        return self.json(self.reports / f"{name}.json")

    def json(self, path: Path) -> dict[str, Any]:
        """A JSON object; empty when there is none."""
        try:
            if path.stat().st_size > MAX_BYTES:
                return {}
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def table(self, stage: str, name: str) -> list[dict[str, str]]:
        """reports/plots/<stage>/<name>.csv; empty when there is none."""
        try:
            with (self.reports / "plots" / stage / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except (OSError, ValueError, csv.Error):
            return []

    def yaml(self, name: str) -> dict[str, Any]:
        """A YAML file at the project's top; empty when there is none."""
        try:
            return read_yaml(self.project / name)
        except (HeadraceError, OSError):
            return {}

    @cached_property
    def timings(self) -> dict[str, dict[str, Any]]:
        """End state and seconds of each stage of the last run."""
        return mapping_of_mappings(self.report("timings").get("stages"))

    @cached_property
    def dag(self) -> dict[str, list[str]]:
        """Each stage's parents, in topological order, as far as dvc.yaml tells without templating."""
        stages = mapping_of_mappings(self.yaml("dvc.yaml").get("stages"))
        made = {out: name for name, body in stages.items() for out in _paths(body, "outs", "metrics", "plots")}
        parents = {
            name: sorted(
                {maker for dep in _paths(body, "deps") for out, maker in made.items() if _inside(dep, out) and maker != name}
            )
            for name, body in stages.items()
        }
        return _ordered(parents)

    @cached_property
    def lock(self) -> dict[str, dict[str, str]]:
        """Digest of every output by stage, from dvc.lock."""
        found: dict[str, dict[str, str]] = {}
        for name, body in mapping_of_mappings(self.yaml("dvc.lock").get("stages")).items():
            outs = [out for out in body.get("outs") or [] if isinstance(out, Mapping)]
            found[name] = {str(out.get("path")): str(out.get("md5") or out.get("hash") or "") for out in outs}
        return found


def mapping(value: Any) -> dict[str, Any]:
    """`value` where it is a mapping, else an empty one."""
    return {str(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}


def mapping_of_mappings(value: Any) -> dict[str, dict[str, Any]]:
    """`value` where it is a mapping of mappings, without the members that are none."""
    return {key: mapping(inner) for key, inner in mapping(value).items() if isinstance(inner, Mapping)}


def number(value: Any) -> float | None:
    """A finite number, from JSON or CSV; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def count(value: Any) -> int:
    """A whole number; 0 for anything else."""
    return int(number(value) or 0)


def rows(value: Any) -> list[dict[str, Any]]:
    """`value` where it is a list of mappings, without the members that are none."""
    return [mapping(row) for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def strings(value: Any) -> list[str]:
    """`value` where it is a list, as strings."""
    return [str(item) for item in value] if isinstance(value, list) else []


def _paths(body: Mapping[str, Any], *keys: str) -> list[str]:
    entries = [entry for key in keys for entry in body.get(key) or []]
    return [str(next(iter(entry))) if isinstance(entry, Mapping) and entry else str(entry) for entry in entries]


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/") or folder.startswith(path.rstrip("/") + "/")


def _ordered(parents: dict[str, list[str]]) -> dict[str, list[str]]:
    done: dict[str, list[str]] = {}
    waiting = dict(parents)
    while waiting:
        ready = [name for name, above in waiting.items() if all(parent in done for parent in above)] or list(waiting)
        done[ready[0]] = [parent for parent in waiting.pop(ready[0]) if parent in done]
    return done
