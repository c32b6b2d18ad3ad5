"""Where a model comes from: sources, stages, commit, run, version, and how it became champion; from registry and ledger alone.

MLflow is not imported: `tracking/reading.py` asks the store, so that the answer is there within two seconds.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.errors import ParamsError
from headrace.registry import ledger
from headrace.registry.tags import CHAMPION, DONE_TAG, PACKAGE_TAG
from headrace.tracking.evidence import PROVENANCE
from headrace.tracking.facts import DEP_TAG, FINGERPRINT_TAG, RESTORED_TAG
from headrace.tracking.reading import Reader, RunRecord, VersionRecord, open_reader
from headrace.tracking.runs import Store

LOCK, SOURCES = "dvc.lock", "data/sources.lock"


def trace(store: Store, what: str, *, path: Path) -> dict[str, Any]:
    """Follow a model or run back to its sources.

    Args:
        store: tracking and registry.
        what: NAME (its champion, else its newest version), NAME@alias, NAME/version, or a run id.
        path: of the ledger.

    Raises:
        ParamsError: nothing of that name.
        RegistryError: the ledger was changed after it was written.
        EngineError: MLflow does not answer.
    """
    reader = open_reader(store.uri)
    run, version = find(reader, what)
    found: dict[str, Any] = {"asked": what}
    if run is not None:
        found |= _of_run(run, provenance(reader, run, version, SOURCES), provenance(reader, run, version, LOCK))
    if version is not None:
        found["version"] = _of_version(version)
        found["champion"] = _of_champion(version, ledger.read(path))
    return found


def find(reader: Reader, what: str) -> tuple[RunRecord | None, VersionRecord | None]:
    """Run and version that a person means; the version is None where a run is named, the run where it was deleted.

    Raises:
        ParamsError: nothing of that name.
    """
    if re.fullmatch(r"[0-9a-f]{32}", what):
        run = reader.run(what)
        if run is None:
            raise ParamsError(f"'{what}' is no run of this store. `headrace trace NAME` starts from a model.")
        return run, None
    version = _find(reader, what)
    return (reader.run(version.run_id) if version.run_id else None), version


def provenance(reader: Reader, run: RunRecord, version: VersionRecord | None, name: str) -> str:
    """A file that reproduces a version, or a run, '' where there is none.

    A version has its own: the run of its training may have been recorded again since, with other reports.
    """
    content = reader.version_file(version, f"{PROVENANCE}/{name}") if version is not None else None
    if content is None:
        content = reader.run_file(run, f"{PROVENANCE}/{name}")
    return content.decode("utf-8", "replace") if content is not None else ""


def parse_yaml(text: str) -> Mapping[str, Any]:
    """The mapping in a provenance file, empty where there is none; JSON may name a million source files, so it is not read as YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    loaded: Any = None
    try:
        loaded = json.loads(text)
    except ValueError:
        with contextlib.suppress(YAMLError):
            loaded = YAML(typ="safe", pure=True).load(text)
    return loaded if isinstance(loaded, dict) else {}


def _of_version(version: VersionRecord) -> dict[str, Any]:
    own = {key.removeprefix("headrace."): value for key, value in sorted(version.tags.items()) if key.startswith("headrace.")}
    return {
        "model": version.model,
        "version": version.version,
        "aliases": sorted(version.aliases),
        "registered": _time(version.created),
        "package": version.tags.get(PACKAGE_TAG, ""),
        "lineage": {key: value for key, value in own.items() if not key.startswith(DONE_TAG.removeprefix("headrace."))},
    }


def _of_champion(version: VersionRecord, entries: list[ledger.Entry]) -> dict[str, Any]:
    """When the version became champion and when another took its place; `unknown` counts marks in the registry without an entry."""
    number, package = version.version, version.tags.get(PACKAGE_TAG, "")
    own = [entry for entry in ledger.changes(entries) if entry.model == version.model]
    marks = {key.removeprefix(DONE_TAG) for key in version.tags if key.startswith(DONE_TAG)}
    return {
        "made": [asdict(entry) for entry in own if entry.version == number and entry.package == package],
        "replaced": [asdict(entry) for entry in own if entry.previous_version == number],
        "unknown": len(marks - {entry.digest[:16] for entry in own}),
    }


def _find(reader: Reader, what: str) -> VersionRecord:
    name, slash, number = what.partition("/")
    name, at, alias = name.partition("@")
    wanted: int | None
    if slash:
        wanted = int(number) if re.fullmatch(r"[0-9]{1,9}", number) else None
    elif at:
        wanted = reader.alias(name, alias)
    else:
        wanted = reader.alias(name, CHAMPION) or max(reader.versions(name), default=None)
    version = reader.version(name, wanted) if wanted is not None else None
    if version is None:
        known = ", ".join(sorted(reader.models())) or "none yet"
        raise ParamsError(f"'{what}' is no model version or run id here. Models: {known}; write NAME, NAME@champion or NAME/3.")
    return version


def _of_run(run: RunRecord, sources: str, lock: str) -> dict[str, Any]:
    tags = run.tags
    return {
        "sources": [dict(file) for entry in pinned(sources) for file in entry["files"]],
        "dvc_lock": {"sha256": hashlib.sha256(lock.encode()).hexdigest() if lock else "", "stages": _stages(lock)},
        "code": {
            "commit": tags.get("headrace.git.commit", ""),
            "branch": tags.get("mlflow.source.git.branch", ""),
            "is_dirty": tags.get("headrace.git.dirty", "") == "true",
        },
        "environment": tags.get("headrace.environment", ""),
        "suite": tags.get("headrace.suite", ""),
        "fingerprint": tags.get(FINGERPRINT_TAG, ""),
        "inputs": dict(run.inputs),
        "deps": {key.removeprefix(DEP_TAG): value for key, value in sorted(tags.items()) if key.startswith(DEP_TAG)},
        "run": {
            "id": run.run_id,
            "name": run.name,
            "status": run.status,
            "started": _time(run.started),
            "ended": _time(run.ended),
            "is_restored": tags.get(RESTORED_TAG, "") == "true",
            "prefect_run": tags.get("headrace.prefect_run", ""),
        },
        "metrics": {key: value for key, value in sorted(run.metrics.items()) if key.startswith(("test/", "baseline/"))},
    }


def pinned(text: str) -> list[dict[str, Any]]:
    """The entries of a data/sources.lock; weights that the training started from are one more."""
    found = parse_yaml(text)
    weights = [{"source": {"name": "train.init_from"}, "files": found["initial"]["files"]}] if found.get("initial") else []
    return [*found.get("sources", []), *weights]


def _time(milliseconds: int | None) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds") if milliseconds else ""


def _stages(lock: str) -> dict[str, dict[str, str]]:
    """What each stage made, with DVC's digests, from the text of a dvc.lock."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # The parser in C is ten times as fast. It knows YAML 1.1, where some words are other values: of no concern to paths and digests.
        stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
        return {name: {out["path"]: str(out.get("md5", "")) for out in entry.get("outs", [])} for name, entry in stages.items()}
    except (YAMLError, AttributeError, KeyError, TypeError):
        return {}  # `headrace verify` tells what became of it
