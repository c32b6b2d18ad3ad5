"""Addresses of pages on an MLflow server, and the report put there, over plain HTTP: importing mlflow would cost a no-op two seconds."""

import base64
import json
import mimetypes
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.settings import Settings
from headrace.tracking.facts import FINGERPRINT_TAG
from headrace.variables import variable

LIMIT_S = 5.0
REPORT = "report/report.html"
SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class RunPage:
    """Where a run is shown, and where its files go."""

    url: str
    artifact_uri: str

    @property
    def report(self) -> str:
        """The report in the run's artifacts."""
        return f"{self.url}/artifacts/{REPORT}"


def find_run_page(settings: Settings, fingerprint: str) -> RunPage | None:
    """The page of a candidate's run; None without a server, or before it is recorded."""
    base = settings.tracking_uri.rstrip("/")
    if not base.startswith(SCHEMES) or not fingerprint:
        return None
    name = urllib.parse.quote(settings.experiment)
    found = _ask(f"{base}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}")
    if found is None:
        return None
    experiment = found["experiment"]["experiment_id"]
    wanted = {"experiment_ids": [experiment], "filter": f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'", "max_results": 1}
    runs = (
        _ask(f"{base}/api/2.0/mlflow/runs/search", body=json.dumps(wanted | {"order_by": ["start_time ASC"]}).encode()) or {}
    ).get("runs")
    if not runs:
        return None
    info = runs[0]["info"]
    return RunPage(f"{base}/#/experiments/{experiment}/runs/{info['run_id']}", str(info["artifact_uri"]))


def publish(settings: Settings, page: RunPage, file: Path) -> bool:
    """Put the report among a run's artifacts, where the server takes them itself; whether it is there now."""
    if not page.artifact_uri.startswith("mlflow-artifacts:"):
        return False
    path = urllib.parse.urlsplit(page.artifact_uri).path.strip("/")
    url = f"{settings.tracking_uri.rstrip('/')}/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}/{REPORT}"
    return _ask(url, body=file.read_bytes(), method="PUT", kind=mimetypes.guess_type(file.name)[0] or "text/html") is not None


def _ask(
    url: str, *, body: bytes | None = None, method: str | None = None, kind: str = "application/json"
) -> dict[str, Any] | None:
    headers = {"Content-Type": kind} if body is not None else {}
    user, password = variable("MLFLOW_TRACKING_USERNAME"), variable("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310  # http(s) only, see SCHEMES
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310
            text = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    try:
        return dict(json.loads(text or b"{}"))
    except ValueError:
        return {}
