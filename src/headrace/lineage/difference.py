"""What distinguishes two runs: params, records, metrics, packages, code."""

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import HeadraceError
from headrace.lineage.evidence import Evidence, gather, recorded
from headrace.registry.trace import parse_yaml
from headrace.settings import Settings
from headrace.storage.dvc_objects import Objects
from headrace.tracking.facts import flatten

SPLITS = "data/splits"

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Rows:
    """Records of one split in two runs."""

    before: int
    after: int
    added: list[str] | None = None
    """Ids; None where one of the data sets cannot be read from here."""
    removed: list[str] | None = None


@dataclass(frozen=True)
class Difference:
    """What is not the same; a part that is the same is empty."""

    first: str
    second: str
    params: dict[str, Pair] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    note: str = ""
    """Why ids are not given."""
    metrics: dict[str, Pair] = field(default_factory=dict)
    packages: dict[str, Pair] = field(default_factory=dict)
    outputs: dict[str, Pair] = field(default_factory=dict)
    """DVC's digests."""
    code: dict[str, Pair] = field(default_factory=dict)
    """Commit, and dependencies by DVC's digest."""


def difference(settings: Settings, first: str, second: str) -> Difference:
    """Compare two runs or models, named as for `headrace trace`.

    Raises:
        ParamsError: nothing of that name.
        ConfigError: one of them was not recorded by `headrace run`.
        EngineError: MLflow does not answer.
    """
    a, b = gather(settings, first), gather(settings, second)
    runs = recorded(a), recorded(b)
    rows, note = _rows(settings, a, b)
    return Difference(
        first=a.title,
        second=b.title,
        params=_unequal(_flat(a), _flat(b)),
        rows=rows,
        note=note,
        metrics=_unequal(*({k: v for k, v in run.metrics.items() if not math.isnan(v)} for run in runs)),
        packages=_unequal(*(parse_yaml(each.text("environment.json")) for each in (a, b))),
        outputs=_unequal(a.outs, b.outs),
        code=_unequal(_code(a), _code(b)),
    )


def _flat(evidence: Evidence) -> dict[str, str]:
    return flatten(parse_yaml(evidence.text("params.yaml")))


def _code(evidence: Evidence) -> dict[str, str]:
    deps = {dep["path"]: str(dep.get("md5", "")) for entry in evidence.stages.values() for dep in entry.get("deps") or []}
    commit = f"{evidence.commit}{' with uncommitted changes' if evidence.is_dirty else ''}"
    return {
        "commit": commit,
        **{path: md5 for path, md5 in deps.items() if path not in evidence.outs and not path.startswith("data/")},
    }


def _unequal(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    return {key: (first.get(key), second.get(key)) for key in sorted({*first, *second}) if first.get(key) != second.get(key)}


def _rows(settings: Settings, a: Evidence, b: Evidence) -> tuple[dict[str, Rows], str]:
    """Records that came or went, by split and id where both data sets can be read, else as numbers from the reports."""
    digests = a.outs.get(SPLITS, ""), b.outs.get(SPLITS, "")
    if digests[0] == digests[1] or not all(digests):
        return {}, ""
    objects = Objects(settings)
    try:
        ids = [_ids(objects, digest) for digest in digests]
    except HeadraceError as error:
        before, after = (_counts(objects, each) for each in (a, b))
        rows = {split: Rows(before.get(split, 0), after.get(split, 0)) for split in sorted({*before, *after})}
        return {split: each for split, each in rows.items() if each.before != each.after}, f"ids cannot be compared: {error}"
    found = {}
    for split in sorted({*ids[0], *ids[1]}):
        old, new = (each.get(split, frozenset()) for each in ids)
        if old != new:
            found[split] = Rows(len(old), len(new), sorted(new - old), sorted(old - new))
    return found, ""


def _ids(objects: Objects, digest: str) -> dict[str, frozenset[str]]:
    import pyarrow.parquet as pq

    found: dict[str, set[str]] = {}
    for path, md5 in objects.members(digest).items():
        if path.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(objects.read(md5)), columns=["id"])
            found.setdefault(path.rpartition("/")[0], set()).update(table.column("id").to_pylist())
    return {split: frozenset(ids) for split, ids in found.items()}


def _counts(objects: Objects, evidence: Evidence) -> dict[str, int]:
    """Rows per split as `split` reported them."""
    md5 = evidence.outs.get("reports/split.json", "")
    try:
        report = json.loads(objects.read(md5)) if md5 else {}
    except (HeadraceError, ValueError):
        return {}
    rows = report.get("rows", {})
    return {str(split): int(count) for split, count in rows.items()} if isinstance(rows, dict) else {}


def in_words(found: Difference) -> list[str]:
    """For people: a block for each part that differs."""
    lines = [f"{found.first} -> {found.second}"]
    for title, pairs in (("params", found.params), ("metrics", found.metrics), ("packages", found.packages)):
        lines += (
            [f"{title}:", *(f"  {key}: {_short(old)} -> {_short(new)}" for key, (old, new) in pairs.items())] if pairs else []
        )
    if found.rows:
        lines.append("records:")
        for split, rows in found.rows.items():
            told = f"  {split}: {rows.before:,} -> {rows.after:,}"
            if rows.added is not None and rows.removed is not None:
                told += f", {len(rows.added):,} added, {len(rows.removed):,} removed"
            lines.append(told)
            for word, ids in (("added", rows.added), ("removed", rows.removed)):
                if ids:
                    lines.append(f"    {word}: {', '.join(ids[:5])}{' ...' if len(ids) > 5 else ''}")
    if found.note:
        lines.append(f"  {found.note}")
    if found.code:
        commit = found.code.get("commit")
        files = [path for path in found.code if path != "commit"]
        lines.append("code:")
        lines += [f"  commit {_short(commit[0], 10)} -> {_short(commit[1], 10)}"] if commit else []
        lines += [f"  {path}" for path in files]
    if len(lines) == 1:
        lines.append("no difference")
    return lines


def _short(value: Any, length: int = 60) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "-" if value is None else str(value)
    return text if len(text) <= length else text[:length]
