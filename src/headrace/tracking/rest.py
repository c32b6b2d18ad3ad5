"""Read an MLflow server over HTTP, with the login that MLflow's own client would use."""

from typing import Any

import requests

from headrace.errors import EngineError
from headrace.tracking.reading import RunRecord, VersionRecord
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.store import absent
from headrace.variables import variable

CONNECT_S, READ_S = 3.0, 10.0

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What the server says of names that it does not have, or cannot have."""


class RestReader:
    """A `Reader` of an MLflow server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._session = requests.Session()
        token, user = variable("MLFLOW_TRACKING_TOKEN"), variable("MLFLOW_TRACKING_USERNAME")
        if user:
            self._session.auth = (user, variable("MLFLOW_TRACKING_PASSWORD"))
        elif token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        if certificate := variable("MLFLOW_TRACKING_SERVER_CERT_PATH"):
            self._session.verify = certificate
        elif variable("MLFLOW_TRACKING_INSECURE_TLS").lower() == "true":
            self._session.verify = False

    def run(self, run_id: str) -> RunRecord | None:
        """A run by its id."""
        found = self._ask("runs/get", run_id=run_id)
        if found is None:
            return None
        info, data = found["run"]["info"], found["run"].get("data", {})
        inputs = found["run"].get("inputs", {}).get("dataset_inputs", [])
        return RunRecord(
            run_id=run_id,
            name=str(info.get("run_name", "")),
            status=str(info.get("status", "")),
            started=_number(info.get("start_time")),
            ended=_number(info.get("end_time")),
            artifacts=str(info.get("artifact_uri", "")),
            tags=_pairs(data.get("tags")),
            params=_pairs(data.get("params")),
            metrics={each["key"]: float(each.get("value", "nan")) for each in data.get("metrics", [])},
            inputs={each["dataset"]["name"]: each["dataset"]["digest"] for each in inputs},
        )

    def version(self, model: str, number: int) -> VersionRecord | None:
        """A version with its aliases and tags."""
        found = self._ask("model-versions/get", name=model, version=str(number))
        return _version(found["model_version"]) if found else None

    def alias(self, model: str, alias: str) -> int | None:
        """The version that an alias names."""
        found = self._ask("registered-models/alias", name=model, alias=alias)
        return int(found["model_version"]["version"]) if found else None

    def versions(self, model: str) -> list[int]:
        """Numbers of all versions, ascending."""
        if "'" in model:
            return []
        found = self._ask("model-versions/search", filter=f"name = '{model}'", max_results="10000") or {}
        return sorted(int(each["version"]) for each in found.get("model_versions", []))

    def models(self) -> list[str]:
        """Names of registered models."""
        found = self._ask("registered-models/search", max_results="20") or {}
        return [str(each["name"]) for each in found.get("registered_models", [])]

    def run_file(self, run: RunRecord, path: str) -> bytes | None:
        """An artifact of a run."""
        listed = self._ask("artifacts/list", run_id=run.run_id, path=path.rpartition("/")[0]) or {}
        if path not in {each["path"] for each in listed.get("files", [])}:
            return None
        answer = self._get("get-artifact", run_id=run.run_id, path=path)
        if answer.status_code != requests.codes.ok:
            raise EngineError(absent(self._uri, f"artifact {path} of run {run.run_id[:8]}: status {answer.status_code}"))
        return answer.content

    def version_file(self, version: VersionRecord, path: str) -> bytes | None:
        """A file beside a registered model."""
        answer = self._get("model-versions/get-artifact", name=version.model, version=str(version.version), path=path)
        return answer.content if answer.status_code == requests.codes.ok else None

    def _ask(self, what: str, /, **query: str) -> dict[str, Any] | None:
        answer = self._get(f"api/2.0/mlflow/{what}", **query)
        try:
            found = answer.json()
            if answer.status_code == requests.codes.ok and isinstance(found, dict):
                return found
            code, reason = found["error_code"], str(found.get("message", ""))
        except (ValueError, KeyError, TypeError):
            code, reason = "", "what answers there is not MLflow"
        if code in ABSENT:
            return None
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            reason = "it refuses the login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise EngineError(absent(self._uri, f"{what}: status {answer.status_code}, {strip_secrets(reason)[:200]}"))

    def _get(self, where: str, /, **query: str) -> requests.Response:
        try:
            return self._session.get(f"{self._uri}/{where}", params=query, timeout=(CONNECT_S, READ_S))
        except requests.RequestException as error:
            raise EngineError(absent(self._uri, strip_secrets(" ".join(str(error).split())[:200]))) from None


def _version(found: dict[str, Any]) -> VersionRecord:
    return VersionRecord(
        model=str(found["name"]),
        version=int(found["version"]),
        run_id=str(found.get("run_id", "")),
        created=_number(found.get("creation_timestamp")),
        source=str(found.get("source", "")),
        aliases=tuple(sorted(found.get("aliases", []))),
        tags=_pairs(found.get("tags")),
    )


def _pairs(found: list[dict[str, str]] | None) -> dict[str, str]:
    return {each["key"]: each.get("value", "") for each in found or []}


def _number(value: Any) -> int | None:
    return int(value) if value is not None else None
