"""The locked stack works together, and tells nobody about it."""

import os
import subprocess
import sys

import pytest

from headrace.services.asking import ask
from headrace.settings import TELEMETRY_OFF


def test_the_prefect_server_app_imports_under_the_lock() -> None:
    """Newer releases of fastapi break prefect.server: the bound in pyproject.toml and the lock keep them out."""
    code = "from prefect.server.api.server import create_app; assert create_app().title"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]


def test_prefects_server_takes_what_its_own_client_sends(prefect_server: str) -> None:
    """Its lists (`prefect work-pool ls`) are asked for with nulls, which newer releases of fastapi refuse."""
    for what in ("work_pools", "deployments", "flow_runs"):
        status, body = ask(
            f"{prefect_server}/{what}/filter", method="POST", json_body={"limit": None, "sort": None}, timeout_s=30
        )

        assert status == 200, body


TELLTALES = {
    "dvc": "from dvc import analytics; assert not analytics.is_enabled()",
    "prefect": "from prefect.settings import get_current_settings as s; assert not s().server.analytics_enabled",
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled; assert is_telemetry_disabled()",
    "great_expectations": "import sys, great_expectations; assert 'posthog' not in sys.modules  # 1.24 has no other way to send",
}


@pytest.mark.parametrize("tool", TELLTALES)
def test_telemetry_is_off(tool: str, tmp_path: object) -> None:
    """A pipeline with somebody's data in it calls home in none of its four tools."""
    variables = {name: value for name, value in os.environ.items() if name not in TELEMETRY_OFF}
    code = f"from headrace.settings import Settings, prepare_process; prepare_process(Settings()); {TELLTALES[tool]}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=variables,
        cwd=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr[-2000:]
