"""MLflow's server: passwords on, artifacts through it, its database migrated before it starts."""

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from headrace.errors import ConfigError, EngineError
from headrace.services.asking import ask
from headrace.services.credentials import ACCESS_KEY, REGION, USER, Secrets
from headrace.services.service import Service
from headrace.settings import POSTGRES, Settings
from headrace.storage.dvc_remote import client_of
from headrace.storage.local import write_text
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.store import prepare as prepare_sqlite
from headrace.variables import child_environment

NAME = "mlflow"
BUCKET = "mlflow"
MIGRATION_LIMIT_S = 300
CONNECT_LIMIT_S = 5
UPGRADE = "import os; from mlflow.cli import cli; cli(['db', 'upgrade', os.environ['HEADRACE_DATABASE']])"
"""MLflow's own command. The URL has a password, and a command line can be read by everybody on the machine."""

# Without the cache each request costs half a second of hashing its password. One worker: nothing can be stale.
AUTH = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
admin_username = {user}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""


def database_url(settings: Settings) -> str:
    """Of runs, metrics and models."""
    if settings.mlflow_database is None:
        return f"sqlite:///{settings.services_folder / NAME / 'mlflow.db'}"
    url = settings.mlflow_database.get_secret_value()
    if not url.startswith((f"{POSTGRES}://", "sqlite:///")):
        raise ConfigError(
            f"HEADRACE_MLFLOW_DATABASE is {url.partition(':')[0]}:..., which is not one of postgresql:// and sqlite:///. Correct it, or "
            f"leave it out for SQLite."
        )
    return url


def artifacts(settings: Settings, remembered: str, *, object_store: bool) -> str:
    """Where artifacts go: what the settings say, else where they went before, else the bucket, else a folder."""
    own = str(settings.services_folder / NAME / "artifacts")
    if settings.mlflow_artifacts:
        return settings.mlflow_artifacts
    if remembered and not (remembered == own and object_store and not any(Path(own).glob("*"))):
        return remembered
    return f"s3://{BUCKET}" if object_store else own


def prepare(settings: Settings, secret: Secrets) -> None:
    """Write the configuration of its passwords, and bring the database to MLflow's present schema.

    Raises:
        ConfigError: the URL is of no database we know.
        EngineError: the database does not answer, or MLflow cannot migrate it.
    """
    url, folder = database_url(settings), settings.services_folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    # A new password needs a new file: MLflow asks for the one with which the file was made.
    users = folder / f"users-{hashlib.sha256(secret.mlflow_password.encode()).hexdigest()[:12]}.db"
    write_text(folder / "auth.ini", AUTH.format(database=users, user=USER))
    prepare_sqlite(url)
    if url.startswith("sqlite:"):
        return
    mark, done = folder / "migrated", f"{version('mlflow')} {hashlib.sha256(url.encode()).hexdigest()}\n"
    if mark.exists() and mark.read_text(encoding="utf-8") == done:
        return
    _connect(url)
    environment = child_environment(without=("MLFLOW_TRACKING_",), HEADRACE_DATABASE=url)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", UPGRADE],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=MIGRATION_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"the database {strip_secrets(url)} could not be prepared in {MIGRATION_LIMIT_S} s. Is it busy?"
        ) from None
    if ran.returncode != 0:
        reason = strip_secrets((ran.stderr.strip().splitlines() or ["no message"])[-1])
        raise EngineError(f"MLflow cannot prepare {strip_secrets(url)}: {reason[:300]}. HEADRACE_MLFLOW_DATABASE names it.")
    write_text(mark, done)


def _connect(url: str) -> None:
    """Ask once and briefly: MLflow asks a database that is not there for two minutes."""
    try:
        import psycopg
    except ImportError:
        raise ConfigError(
            "HEADRACE_MLFLOW_DATABASE is a PostgreSQL and its driver is missing: pip install 'headrace[postgres]'"
        ) from None
    try:
        with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=CONNECT_LIMIT_S):
            return
    except psycopg.Error as error:
        reason = strip_secrets(" ".join(str(error).split()))
        raise EngineError(f"{strip_secrets(url)} cannot be used: {reason[:300]}. HEADRACE_MLFLOW_DATABASE names it.") from None


def service(settings: Settings, secret: Secrets, *, port: int, destination: str, store_url: str | None) -> Service:
    """MLflow on 127.0.0.1.

    Args:
        settings: of the project.
        secret: its password.
        port: to listen on.
        destination: of artifacts.
        store_url: of the local S3 server, when artifacts go there; None: the user's own bucket, with the keys of the settings.
    """
    folder = settings.services_folder / NAME
    variables = {
        "MLFLOW_BACKEND_STORE_URI": database_url(settings),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret.mlflow_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret.flask_key,
        # Its job workers are processes that nothing here uses, with a history of answering without a password.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if store_url is not None and destination.startswith("s3://"):
        variables |= {"MLFLOW_S3_ENDPOINT_URL": store_url, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        variables |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": secret.s3_secret_key}
    elif destination.startswith("s3://"):  # the user's bucket, as the DVC remote reaches it
        variables |= client_of(settings, settings.s3_endpoint)
        if settings.s3_endpoint:
            variables["MLFLOW_S3_ENDPOINT_URL"] = settings.s3_endpoint
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", destination]
    command += ["--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    url = f"http://127.0.0.1:{port}"
    return Service(
        name=NAME,
        command=tuple(command),
        variables=variables,
        inherits=() if store_url is not None else ("AWS_",),
        is_ready=lambda: ask(f"{url}/health", timeout_s=2) == (200, b"OK"),
        url=url,
        port=port,
    )
