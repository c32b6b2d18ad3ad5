"""Prefect's server and the worker of the project's work pool."""

import json
import subprocess
import sys
from importlib.metadata import version

from dotenv import dotenv_values

from headrace.errors import EngineError
from headrace.services.asking import ask
from headrace.services.credentials import USER, Secrets
from headrace.services.service import Service
from headrace.settings import Settings
from headrace.storage.local import write_text
from headrace.variables import child_environment, variable

NAME = "prefect"
WORKER = "worker"
MIGRATION_LIMIT_S = 300
POLL_S = 5


def prepare(settings: Settings) -> None:
    """Bring Prefect's own database to its present schema.

    Raises:
        EngineError: Prefect cannot migrate it.
    """
    folder = settings.services_folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    mark, done = folder / "migrated", f"{version('prefect')}\n"
    if mark.exists() and mark.read_text(encoding="utf-8") == done and (folder / "prefect.db").exists():
        return
    upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    environment = child_environment(without=("PREFECT_API_",), PREFECT_HOME=str(folder))
    try:
        ran = subprocess.run(upgrade, env=environment, capture_output=True, text=True, check=False, timeout=MIGRATION_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"Prefect could not prepare its database in {folder} in {MIGRATION_LIMIT_S} s. Run the command again."
        ) from None
    if ran.returncode != 0:
        lines = (ran.stderr.strip() or ran.stdout.strip() or "no message").splitlines()
        raise EngineError(f"Prefect cannot prepare its database in {folder}: {lines[-1][:300]}")
    write_text(mark, done)


def command(port: int) -> tuple[str, ...]:
    """What starts a Prefect server on this machine."""
    return (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))


def server(settings: Settings, secret: Secrets, *, port: int) -> Service:
    """Prefect's server on 127.0.0.1, which answers nobody without the auth string."""
    url = f"http://127.0.0.1:{port}"
    variables = {
        "PREFECT_HOME": str(settings.services_folder / NAME),
        "PREFECT_SERVER_API_AUTH_STRING": secret.prefect_auth,
        # The server is a client of itself for its own background services.
        "PREFECT_API_AUTH_STRING": secret.prefect_auth,
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{url},http://localhost:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    return Service(
        name=NAME,
        command=command(port),
        variables=variables,
        inherits=("PREFECT_SERVER_DATABASE_",),
        is_ready=lambda: ask(f"{url}/api/health", timeout_s=2)[0] == 200,
        url=url,
        port=port,
    )


def worker(settings: Settings, secret: Secrets, *, clients: dict[str, str]) -> Service:
    """The worker that starts flow runs of the project's pool as processes of this machine.

    Args:
        settings: of the project.
        secret: Prefect's.
        clients: URLs, names and passwords for the flow runs.
    """
    api = clients["PREFECT_API_URL"]
    name = worker_name(settings)
    start = (sys.executable, "-m", "prefect", "worker", "start", "--pool", settings.work_pool, "--type", "process")
    return Service(
        name=WORKER,
        command=(*start, "--name", name, "--install-policy", "never"),
        variables={
            # A scheduled run works in a clone of its own, which has no .env.
            **of_dotenv(settings),
            **clients,
            "PREFECT_HOME": str(settings.state_home / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": str(POLL_S),
            "HEADRACE_HOME": str(settings.state_home),
        },
        # The rest of the client's environment is the flow runs' too: workload identity, MLflow's limits, proxies.
        inherits=("MLFLOW_", "PREFECT_", "AWS_"),
        is_ready=lambda: is_online(api, settings.work_pool, name, (USER, secret.prefect_password)),
    )


def of_dotenv(settings: Settings) -> dict[str, str]:
    """The project's `.env`, without what the environment says otherwise."""
    found = dotenv_values(settings.project / ".env")
    return {name: value for name, value in found.items() if value is not None and not variable(name)}


def worker_name(settings: Settings) -> str:
    """What the worker calls itself: it says whose it is on a server that several projects use."""
    return f"headrace-{settings.state_home.name}"


def is_online(api: str, pool: str, name: str, login: tuple[str, str]) -> bool:
    """Whether the server has heard from the worker of late."""
    status, body = ask(f"{api}/work_pools/{pool}/workers/filter", login=login, method="POST", json_body={})
    if status != 200:
        return False
    return any(each["name"] == name and each["status"] == "ONLINE" for each in json.loads(body))
