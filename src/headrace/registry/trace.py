"""Where a model comes from: version, run, fingerprint, inputs, sources, commit, environment; from the registry alone."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import ParamsError
from headrace.registry.versions import CHAMPION, PACKAGE_TAG, version_of
from headrace.tracking.facts import FINGERPRINT_TAG
from headrace.tracking.runs import Store
from headrace.tracking.store import check, connect, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LOCK, SOURCES = "provenance/dvc.lock", "provenance/data/sources.lock"
"""Artifacts of a run that the trace reads."""


def trace(store: Store, what: str) -> dict[str, Any]:
    """Follow a model or run back to its sources.

    Args:
        store: tracking and registry.
        what: NAME (its champion, else its newest version), NAME@alias, NAME/version, or a run id.

    Raises:
        ParamsError: nothing of that name.
        EngineError: MLflow does not answer.
    """
    check(store.uri)
    client = connect(store.uri)
    with service_errors(store.uri):
        version = None if re.fullmatch(r"[0-9a-f]{32}", what) else _find(client, what)
        found: dict[str, Any] = {"asked": what}
        if version is not None:
            tags = version.tags
            found["version"] = {
                "model": version.name,
                "version": int(version.version),
                "aliases": sorted(version.aliases),
                "package": tags.get(PACKAGE_TAG, ""),
                "lineage": {
                    key.removeprefix("headrace."): value for key, value in sorted(tags.items()) if key.startswith("headrace.")
                },
            }
        run_id = what if version is None else version.run_id
        if run_id:
            found |= _of_run(client, run_id)
    return found


def render(found: dict[str, Any]) -> str:
    """The trace as indented text, nearest first."""
    return "\n".join(_lines(found, 0))


def _lines(value: dict[str, Any], depth: int) -> Iterator[str]:
    for key, item in value.items():
        indent = "  " * depth
        if isinstance(item, dict):
            if item:
                yield f"{indent}{key}"
                yield from _lines(item, depth + 1)
        elif isinstance(item, str) and "\n" in item:
            yield f"{indent}{key}"
            yield from (f"{indent}  | {line}" for line in item.rstrip().splitlines())
        elif item not in ("", [], None):
            yield f"{indent}{key}: {', '.join(str(each) for each in item) if isinstance(item, list) else item}"


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
            version = version_of(client, name, CHAMPION) or max(
                client.search_model_versions(f"name = '{name}'"), key=lambda each: int(each.version), default=None
            )
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
    return {
        "run": {
            "id": run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "restored": tags.get("headrace.restored", ""),
        },
        "fingerprint": tags.get(FINGERPRINT_TAG, ""),
        "inputs": {each.dataset.name: each.dataset.digest for each in (run.inputs.dataset_inputs if run.inputs else [])},
        "code": {
            "commit": tags.get("headrace.git.commit", ""),
            "branch": tags.get("mlflow.source.git.branch", ""),
            "uncommitted changes": tags.get("headrace.git.dirty", ""),
        },
        "environment": tags.get("headrace.environment", ""),
        "sources": _text(client, run_id, SOURCES),
        "stages": _stages(_text(client, run_id, LOCK)),
    }


def _text(client: "MlflowClient", run_id: str, name: str) -> str:
    folder = name.rpartition("/")[0]
    if name not in {each.path for each in client.list_artifacts(run_id, folder)}:
        return ""
    with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
        return Path(client.download_artifacts(run_id, name, temporary)).read_text(encoding="utf-8")


def _stages(lock: str) -> dict[str, dict[str, str]]:
    """What each stage made, with DVC's digests, from the text of a dvc.lock."""
    from ruamel.yaml import YAML

    locked = (YAML(typ="safe", pure=True).load(lock) or {}).get("stages", {}) if lock else {}
    return {name: {out["path"]: str(out.get("md5", "")) for out in entry.get("outs", [])} for name, entry in locked.items()}
