"""Where a model comes from: sources, stages, commit, run, version, and how it became champion; from registry and ledger alone."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import ParamsError
from headrace.registry import ledger
from headrace.registry.champions import DONE_TAG
from headrace.registry.versions import CHAMPION, PACKAGE_TAG, version_of
from headrace.tracking.facts import FINGERPRINT_TAG, RESTORED_TAG
from headrace.tracking.runs import Store
from headrace.tracking.store import check, connect, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LOCK, SOURCES = "provenance/dvc.lock", "provenance/data/sources.lock"
"""Artifacts of a run that the trace reads."""


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
    check(store.uri)
    client = connect(store.uri)
    with service_errors(store.uri):
        version = None if re.fullmatch(r"[0-9a-f]{32}", what) else _find(client, what)
        run_id = what if version is None else version.run_id
        found: dict[str, Any] = {"asked": what}
        if run_id:
            found |= _of_run(client, run_id)
        if version is not None:
            found["version"] = _of_version(version)
            found["champion"] = _of_champion(version, ledger.read(path))
    return found


def _of_version(version: "ModelVersion") -> dict[str, Any]:
    own = {key.removeprefix("headrace."): value for key, value in sorted(version.tags.items()) if key.startswith("headrace.")}
    return {
        "model": version.name,
        "version": int(version.version),
        "aliases": sorted(version.aliases),
        "registered": _time(version.creation_timestamp),
        "package": version.tags.get(PACKAGE_TAG, ""),
        "lineage": {key: value for key, value in own.items() if not key.startswith(DONE_TAG.removeprefix("headrace."))},
    }


def _of_champion(version: "ModelVersion", entries: list[ledger.Entry]) -> dict[str, Any]:
    """When the version became champion and when another took its place; `unknown` counts marks in the registry without an entry."""
    number, package = int(version.version), version.tags.get(PACKAGE_TAG, "")
    own = [entry for entry in ledger.changes(entries) if entry.model == version.name]
    marks = {key.removeprefix(DONE_TAG) for key in version.tags if key.startswith(DONE_TAG)}
    return {
        "made": [asdict(entry) for entry in own if entry.version == number and entry.package == package],
        "replaced": [asdict(entry) for entry in own if entry.previous_version == number],
        "unknown": len(marks - {entry.digest[:16] for entry in own}),
    }


def _find(client: "MlflowClient", what: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    name, slash, number = what.partition("/")
    name, at, alias = name.partition("@")
    try:
        if slash:
            return client.get_model_version(name, number)
        if at:
            version = version_of(client, name, alias)
        else:
            version = version_of(client, name, CHAMPION)
            numbers = [int(each.version) for each in client.search_model_versions(f"name = '{name}'")]
            if version is None and numbers:
                version = client.get_model_version(name, str(max(numbers)))  # a search answers without aliases
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        version = None
    if version is None:
        known = ", ".join(sorted(each.name for each in client.search_registered_models(max_results=20))) or "none yet"
        raise ParamsError(f"'{what}' is no model version or run id here. Models: {known}; write NAME, NAME@champion or NAME/3.")
    return version


def _of_run(client: "MlflowClient", run_id: str) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ParamsError(f"'{run_id}' is no run of this store. `headrace trace NAME` starts from a model.") from None
    tags = run.data.tags
    lock = _text(client, run_id, LOCK)
    return {
        "sources": _sources(_text(client, run_id, SOURCES)),
        "dvc_lock": {"sha256": hashlib.sha256(lock.encode()).hexdigest() if lock else "", "stages": _stages(lock)},
        "code": {
            "commit": tags.get("headrace.git.commit", ""),
            "branch": tags.get("mlflow.source.git.branch", ""),
            "is_dirty": tags.get("headrace.git.dirty", "") == "true",
        },
        "environment": tags.get("headrace.environment", ""),
        "fingerprint": tags.get(FINGERPRINT_TAG, ""),
        "inputs": {each.dataset.name: each.dataset.digest for each in (run.inputs.dataset_inputs if run.inputs else [])},
        "run": {
            "id": run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "started": _time(run.info.start_time),
            "ended": _time(run.info.end_time),
            "is_restored": tags.get(RESTORED_TAG, "") == "true",
        },
        "metrics": {key: value for key, value in sorted(run.data.metrics.items()) if key.startswith(("test/", "baseline/"))},
    }


def _time(milliseconds: int | None) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds") if milliseconds else ""


def _text(client: "MlflowClient", run_id: str, name: str) -> str:
    folder = name.rpartition("/")[0]
    if name not in {each.path for each in client.list_artifacts(run_id, folder)}:
        return ""
    with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
        return Path(client.download_artifacts(run_id, name, temporary)).read_text(encoding="utf-8")


def _stages(lock: str) -> dict[str, dict[str, str]]:
    """What each stage made, with DVC's digests, from the text of a dvc.lock."""
    return {
        name: {out["path"]: str(out.get("md5", "")) for out in entry.get("outs", [])}
        for name, entry in _parsed(lock).get("stages", {}).items()
    }


def _sources(lock: str) -> list[dict[str, Any]]:
    """The files of a data/sources.lock."""
    return [dict(file) for entry in _parsed(lock).get("sources", []) for file in entry["files"]]


def _parsed(text: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe", pure=True).load(text) or {}) if text else {}
