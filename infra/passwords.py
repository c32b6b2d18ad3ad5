"""Make the passwords and keys of infra/: python3 infra/passwords.py (needs nothing but Python). What is there stays.

Writes infra/.env, which `docker compose` reads by itself, and infra/.secrets/: files for containers, and kubernetes.yaml for
`kubectl apply`. All of it is for your eyes only and ignored by git.
"""

import json
import os
import secrets
import sys
from pathlib import Path

INFRA = Path(__file__).resolve().parent
BUCKET = "headrace"

NAMES = (
    "POSTGRES_PASSWORD",
    "MLFLOW_DATABASE_PASSWORD",
    "PREFECT_DATABASE_PASSWORD",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "PREFECT_PASSWORD",
    "S3_ADMIN_SECRET_KEY",
    "S3_MLFLOW_SECRET_KEY",
    "S3_COLLECT_SECRET_KEY",
    "S3_TRAIN_SECRET_KEY",
    "S3_SERVE_SECRET_KEY",
)

S3_ACTIONS = {
    "admin": ["Admin"],
    "mlflow": [f"Read:{BUCKET}/mlflow/*", f"Write:{BUCKET}/mlflow/*", f"List:{BUCKET}/mlflow/*"],
    "collect": [f"Write:{BUCKET}/raw/*", f"List:{BUCKET}/raw/*"],
    "train": [
        *(f"{action}:{BUCKET}/dvc/*" for action in ("Read", "Write", "List")),
        *(f"{action}:{BUCKET}/raw/*" for action in ("Read", "List")),
    ],
    "serve": [f"Read:{BUCKET}/mlflow/*", f"List:{BUCKET}/mlflow/*"],
}
"""Who may do what in the bucket, in SeaweedFS's words; k8s/iam says the same in Amazon's."""

AUTH = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = postgresql+psycopg://mlflow:{password}@postgres/mlflow_auth
admin_username = headrace
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""


def read(path: Path) -> dict[str, str]:
    """The values of an env file; none when it is not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def complete(values: dict[str, str]) -> dict[str, str]:
    """The values, with a secret for every name that has none."""
    made = {name: values.get(name) or secrets.token_urlsafe(24) for name in NAMES}
    return {**values, **made}


def identities(values: dict[str, str]) -> dict[str, object]:
    """The S3 server's configuration: one key for each role."""
    return {
        "identities": [
            {
                "name": role,
                "credentials": [{"accessKey": f"headrace-{role}", "secretKey": values[f"S3_{role.upper()}_SECRET_KEY"]}],
                "actions": actions,
            }
            for role, actions in S3_ACTIONS.items()
        ]
    }


def kubernetes(values: dict[str, str]) -> list[dict[str, object]]:
    """The Secrets that infra/k8s refers to by name."""
    v = values
    data = {
        "headrace-postgres": {
            "POSTGRES_PASSWORD": v["POSTGRES_PASSWORD"],
            "MLFLOW_DATABASE_PASSWORD": v["MLFLOW_DATABASE_PASSWORD"],
            "PREFECT_DATABASE_PASSWORD": v["PREFECT_DATABASE_PASSWORD"],
        },
        "headrace-mlflow": {
            "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://mlflow:{v['MLFLOW_DATABASE_PASSWORD']}@postgres/mlflow",
            "MLFLOW_AUTH_ADMIN_PASSWORD": v["MLFLOW_TRACKING_PASSWORD"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": v["MLFLOW_FLASK_SERVER_SECRET_KEY"],
        },
        "headrace-mlflow-auth": {"auth.ini": AUTH.format(password=v["MLFLOW_DATABASE_PASSWORD"])},
        "headrace-prefect": {
            "PREFECT_SERVER_API_AUTH_STRING": f"headrace:{v['PREFECT_PASSWORD']}",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
                f"postgresql+asyncpg://prefect:{v['PREFECT_DATABASE_PASSWORD']}@postgres/prefect"
            ),
        },
        "headrace-clients": {
            "MLFLOW_TRACKING_USERNAME": "headrace",
            "MLFLOW_TRACKING_PASSWORD": v["MLFLOW_TRACKING_PASSWORD"],
            "PREFECT_API_AUTH_STRING": f"headrace:{v['PREFECT_PASSWORD']}",
        },
        "headrace-s3": {"s3.json": json.dumps(identities(values))},
        **{
            f"headrace-s3-{role}": {
                "AWS_ACCESS_KEY_ID": f"headrace-{role}",
                "AWS_SECRET_ACCESS_KEY": v[f"S3_{role.upper()}_SECRET_KEY"],
            }
            for role in S3_ACTIONS
        },
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": name, "namespace": "headrace"},
            "stringData": each,
        }
        for name, each in data.items()
    ]


def write(path: Path, text: str, mode: int) -> None:
    """Write a file that nobody else can read from its first byte on."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    new.replace(path)


def main(folder: Path = INFRA) -> None:
    """Write what is missing and say where."""
    env, files = folder / ".env", folder / ".secrets"
    values = complete(read(env))
    head = "# Written by infra/passwords.py. Who can read this file can use the servers.\n"
    write(env, head + "".join(f"{name}={value}\n" for name, value in sorted(values.items())), 0o600)
    files.mkdir(mode=0o700, exist_ok=True)
    files.chmod(0o700)
    # Readable to the container's user, who is not you; the folder is closed to everybody else on this machine.
    write(files / "s3.json", json.dumps(identities(values), indent=2) + "\n", 0o444)
    write(files / "mlflow-auth.ini", AUTH.format(password=values["MLFLOW_DATABASE_PASSWORD"]), 0o444)
    manifests = "".join(f"---\n{json.dumps(each, indent=2)}\n" for each in kubernetes(values))
    write(files / "kubernetes.yaml", manifests, 0o600)
    sys.stdout.write(f"{env} and {files}{os.sep}: passwords of infra/, for you alone\n")


if __name__ == "__main__":
    main()
