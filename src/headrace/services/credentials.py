"""The secrets of the services: made once, in one file that only its owner may read."""

import os
import secrets
import stat
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from headrace.errors import ConfigError
from headrace.fingerprint import value_sha256
from headrace.storage.local import write_text

FILE = "credentials.env"
USER = "headrace"
ACCESS_KEY = "headrace:local"
REGION = "us-east-1"
SECRET_BYTES = 24

HEAD = """\
# Written by `headrace up`. Who can read this file can use the services.
# For a shell of your own:  set -a; . THIS_FILE; set +a
"""


@dataclass(frozen=True)
class Secrets:
    """One generated secret per service, and what the servers keep among themselves."""

    mlflow_password: str
    prefect_password: str
    s3_secret_key: str
    flask_key: str
    """Signs the forms of MLflow's pages."""
    store_key: str
    """What the object store's proxy shows to its stores."""

    def __repr__(self) -> str:
        """Nothing: a secret in a message is a secret in a log."""
        return "Secrets(***)"

    @property
    def digest(self) -> str:
        """Tells one set of secrets from another."""
        return value_sha256(astuple(self))

    @property
    def prefect_auth(self) -> str:
        """Prefect's auth string."""
        return f"{USER}:{self.prefect_password}"


_NAMES = {
    "mlflow_password": "MLFLOW_TRACKING_PASSWORD",
    "prefect_password": "HEADRACE_PREFECT_PASSWORD",
    "s3_secret_key": "AWS_SECRET_ACCESS_KEY",
    "flask_key": "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "store_key": "HEADRACE_STORE_KEY",
}


def read_or_make(folder: Path) -> Secrets:
    """The project's secrets; those that are missing are made, and the file is closed to others.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = folder / FILE
    found = _read(path)
    made = Secrets(**{each.name: found.get(_NAMES[each.name]) or secrets.token_urlsafe(SECRET_BYTES) for each in fields(Secrets)})
    if any(_NAMES[each.name] not in found for each in fields(Secrets)):
        write(folder, made, {})
    if is_open(folder):
        path.chmod(0o600)
    return made


def is_open(folder: Path) -> bool:
    """Whether others than its owner may read the file."""
    path = folder / FILE
    return path.exists() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def write(folder: Path, secret: Secrets, urls: dict[str, str]) -> None:
    """Write the file: what clients need, under the names that MLflow, Prefect and S3 clients read, then the servers' own.

    Args:
        folder: of the services.
        secret: their secrets.
        urls: variable to URL, of the services that run.
    """
    variables = dict(urls)
    variables |= {"MLFLOW_TRACKING_USERNAME": USER, "PREFECT_API_AUTH_STRING": secret.prefect_auth}
    variables |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_DEFAULT_REGION": REGION}
    variables |= {name: getattr(secret, field) for field, name in _NAMES.items()}
    text = HEAD + "".join(f"{name}={variables[name]}\n" for name in sorted(variables))
    path = folder / FILE
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    before = os.umask(0o077)
    try:
        write_text(path, text)
    finally:
        os.umask(before)


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}). Mend it, or move it away: `headrace up` makes new passwords."
        ) from None
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
