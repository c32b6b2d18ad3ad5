"""compose.yaml: read by its schema and by the programs it starts; nothing in it runs with more rights, or fewer passwords, than needed."""

import copy
import json
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.infra import (
    INFRA,
    VARIABLE,
    apply,
    compose_schema,
    documents,
    interpolated,
    script,
)
from tests.projects import REPOSITORY

TEXT = (INFRA / "compose.yaml").read_text()
ONCE = {"bucket", "mlflow-schema"}
"""Services that do one thing and end."""
SECRET = re.compile(r"PASSWORD|SECRET|AUTH_STRING|CONNECTION_URL|BACKEND_STORE_URI")
NO_SECRET = re.compile(r"_CONFIG_PATH$|_USERNAME$")


PASSWORDS = script("passwords.py")
SECRETS = PASSWORDS.complete({})


def compose() -> Any:
    """The file, not yet interpolated."""
    return documents(TEXT)[0]


def schema_faults(file: Any) -> list[str]:
    """What the specification's schema refuses."""
    validator = jsonschema.Draft202012Validator(compose_schema())
    return [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(interpolated(file, SECRETS))
    ]


def faults(file: Any) -> list[str]:
    """What the schema does not see."""
    found = [f"{name} {fault}" for name, service in file["services"].items() for fault in service_faults(name, service)]
    mounts = [(name, each.split(":")[0]) for name, service in file["services"].items() for each in service.get("volumes", [])]
    found += [f"{name}: {path} is not there" for name, path in mounts if path.startswith(".") and not (INFRA / path).is_file()]
    found += [f"{name}: no volume {volume}" for name, volume in mounts if volume[0] not in "./" and volume not in file["volumes"]]
    return [*found, *guards(file["services"])]


def service_faults(name: str, service: Any) -> list[str]:
    """Rights, limits and passwords of one service."""
    image = interpolated(service["image"], SECRETS)
    environment = service.get("environment") or {}
    waits = {
        other: "service_completed_successfully" if other in ONCE else "service_healthy" for other in service.get("depends_on", {})
    }
    rules = {
        f"runs {image}, which is no version": ":" not in image or image.endswith(":latest"),
        "may write to its root": not service.get("read_only"),
        "has capabilities": service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"),
        "may gain privileges": "no-new-privileges:true" not in service.get("security_opt", []),
        "has no limit of memory and processes": not (service.get("mem_limit") and service.get("pids_limit")),
        "may be root": "build" not in service and not re.fullmatch(r"[1-9]\d*:\d+", str(service.get("user", ""))),
        "shares the machine's own": any(service.get(each) for each in ("network_mode", "pid", "ipc")),
        "listens to everybody": not all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])),
        "has no health check": name not in ONCE and "test" not in service.get("healthcheck", {}),
        "rules the machine": "docker.sock" in str(service.get("volumes", [])),
        "has a password of its own": any(
            SECRET.search(variable) and not NO_SECRET.search(variable) and ":?" not in str(value)
            for variable, value in environment.items()
        ),
        "does not wait for others": any(service["depends_on"][other]["condition"] != wanted for other, wanted in waits.items()),
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


def guards(services: Any) -> list[str]:
    """Each server asks who is there."""
    mlflow, prefect = services["mlflow"], services["prefect"]
    rules = {
        "mlflow asks for a password": "--app-name=basic-auth" in mlflow["command"],
        "mlflow answers to its own names only": any(
            each.startswith("--allowed-hosts=mlflow:5000,127.0.0.1:") for each in mlflow["command"]
        ),
        "mlflow keeps artifacts in the bucket, through itself": "--artifacts-destination=s3://headrace/mlflow"
        in mlflow["command"],
        "mlflow starts no jobs": mlflow["environment"].get("MLFLOW_SERVER_ENABLE_JOB_EXECUTION") == "false",
        "mlflow loads no pickle": mlflow["environment"].get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION") == "false",
        "prefect asks for a password": "PREFECT_SERVER_API_AUTH_STRING" in prefect["environment"],
        "s3 asks for keys": "-s3.config=/run/secrets/s3.json" in services["objects"]["command"],
        "the store behind s3 is reached by s3 only": [name for name, each in services.items() if "objects" in each["networks"]]
        == ["objects", "s3"],
        "the store's own ports are its own": {"-ip=127.0.0.1", "-ip.bind=127.0.0.1"} <= set(services["objects"]["command"]),
        "databases are reached by the two servers only": {
            name for name, each in services.items() if "databases" in each["networks"]
        }
        == {"postgres", "mlflow", "mlflow-schema", "prefect"},
        "nobody calls home": "-master.telemetry=false" in services["objects"]["command"],
    }
    return [f"not so: {rule}" for rule, holds in rules.items() if not holds]


def name_faults(file: Any) -> list[str]:
    """Hosts, ports, secrets and networks of one place that another place does not have."""
    found = []
    listens = {"s3": 8333, "objects": 8333, "mlflow": 5000, "prefect": 4200, "postgres": 5432}
    for name, service in file["services"].items():
        text = "\n".join(interpolated(str(value), SECRETS) for value in (service.get("environment") or {}).values())
        urls = [(host, int(port)) for host, port in re.findall(r"http://([a-z0-9]+):(\d+)", text) if host != "localhost"]
        found += [f"{name}: nobody is {host}:{port}" for host, port in urls if listens.get(host) != port]
        found += [f"{name}: no database is at {host}" for host in re.findall(r"@([a-z]+)/", text) if host != "postgres"]
        ports = [int(interpolated(port, SECRETS).rsplit(":", 1)[1]) for port in service.get("ports", [])]
        found += [f"{name} publishes {port} and listens on {listens[name]}" for port in ports if port != listens[name]]
        given = set(service.get("secrets", []))
        found += [f"{name}: no secret {each}" for each in given - file["secrets"].keys()]
        found += [
            f"{name} is not given {each}" for each in set(re.findall(r"/run/secrets/([\w.-]+)", json.dumps(service))) - given
        ]
        found += [f"{name}: no network {each}" for each in set(service["networks"]) - file["networks"].keys()]
    return found


@pytest.mark.fault
def test_compose_has_no_fault() -> None:
    """Its schema, its rights, its passwords, its names."""
    assert schema_faults(compose()) + faults(compose()) + name_faults(compose()) == []


def mutated(path: str, value: Any) -> Callable[[Any], None]:
    """A change of one value."""
    return lambda file: apply(file, {"op": "add", "path": path, "value": value})


BROKEN: dict[str, Callable[[Any], None]] = {
    "Unevaluated properties": mutated("/services/worker/memory_limit", "1g"),
    "is not of type": mutated("/services/worker/ports", 4200),
    "is no version": mutated("/services/objects/image", "chrislusf/seaweedfs:latest"),
    "may write to its root": mutated("/services/mlflow/read_only", False),
    "has capabilities": mutated("/services/worker/cap_add", ["SYS_ADMIN"]),
    "may gain privileges": mutated("/services/worker/security_opt", []),
    "has no limit": lambda file: file["services"]["worker"].pop("mem_limit"),
    "may be root": lambda file: file["services"]["postgres"].pop("user"),
    "shares the machine's own": mutated("/services/worker/network_mode", "host"),
    "listens to everybody": mutated("/services/mlflow/ports", ["5000:5000"]),
    "has no health check": lambda file: file["services"]["prefect"].pop("healthcheck"),
    "rules the machine": mutated("/services/worker/volumes", ["/var/run/docker.sock:/var/run/docker.sock"]),
    "is not there": mutated("/services/s3/volumes", ["./s3/haproxy.conf:/etc/haproxy.cfg"]),
    "no volume": mutated("/services/worker/volumes", ["stat:/var/lib/headrace"]),
    "has a password of its own": mutated("/services/postgres/environment/POSTGRES_PASSWORD", "postgres"),
    "does not wait for": mutated("/services/worker/depends_on/prefect/condition", "service_started"),
    "mlflow asks": lambda file: file["services"]["mlflow"]["command"].remove("--app-name=basic-auth"),
    "own names only": lambda file: file["services"]["mlflow"]["command"].pop(),
    "starts no jobs": mutated("/services/mlflow/environment/MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true"),
    "loads no pickle": mutated("/services/mlflow/environment/MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true"),
    "prefect asks": lambda file: file["services"]["prefect"]["environment"].pop("PREFECT_SERVER_API_AUTH_STRING"),
    "s3 asks": lambda file: file["services"]["objects"]["command"].pop(),
    "reached by s3 only": mutated("/services/worker/networks", ["services", "objects"]),
    "two servers only": mutated("/services/worker/networks", ["services", "databases"]),
    "nobody is": mutated("/services/worker/environment/MLFLOW_TRACKING_URI", "http://mlflow:5001"),
    "no database is at": mutated(
        "/services/mlflow/environment/MLFLOW_BACKEND_STORE_URI", "postgresql://m:${POSTGRES_PASSWORD:?}@postgresql/mlflow"
    ),
    "and listens on": mutated("/services/prefect/ports", ["127.0.0.1:4200:4201"]),
    "is not given": lambda file: file["services"]["mlflow"].pop("secrets"),
    "no network": mutated("/services/bucket/networks", ["service"]),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_compose_file_is_found(fault: str) -> None:
    """Each check must be able to fail."""
    file = copy.deepcopy(compose())
    # Merged keys are shared between services.
    file = json.loads(json.dumps(file))
    BROKEN[fault](file)

    assert any(fault in each for each in schema_faults(file) or faults(file) + name_faults(file))


@pytest.mark.fault
@pytest.mark.parametrize("name", sorted(PASSWORDS.NAMES))
def test_nothing_starts_without_its_password(name: str) -> None:
    """An empty password is worse than none: the file names what is missing."""
    used = {match["name"] for match in VARIABLE.finditer(TEXT)}
    incomplete = {key: value for key, value in SECRETS.items() if key != name}
    if name not in used:
        assert name in {"S3_COLLECT_SECRET_KEY", "S3_SERVE_SECRET_KEY"}  # for clients; the S3 server has them from its own file
        return

    with pytest.raises(KeyError, match=name):
        interpolated(compose(), incomplete)


def test_scripts_that_containers_run_are_in_the_image() -> None:
    """`python /opt/headrace-infra/make_bucket.py` is a file that the Dockerfile copies there."""
    copied = re.search(r"COPY (infra/\S+) /opt/headrace-infra/", (INFRA / "Dockerfile").read_text())
    assert copied is not None

    assert f"/opt/headrace-infra/{Path(copied[1]).name}" in compose()["services"]["bucket"]["command"]
    assert (REPOSITORY / copied[1]).is_file()


def test_seaweedfs_is_given_options_that_it_has() -> None:
    """Read from weed/command/server.go of the version that is pinned; an unknown option ends its start."""
    known = {
        "ip", "ip.bind", "master.telemetry", "filer", "s3", "s3.ip.bind", "s3.port", "s3.port.iceberg", "s3.port.lance", "s3.iam",
        "s3.autoCreateBucket", "s3.config",
    }  # fmt: skip
    program, *options = compose()["services"]["objects"]["command"]
    used = {option.partition("=")[0].removeprefix("-") for option in options}

    assert program == "server"
    assert used <= known
    assert "seaweedfs:4.44" in compose()["services"]["objects"]["image"]


def test_passwords_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    """A second call changes nothing: what a database was made with must stay."""
    PASSWORDS.main(tmp_path)
    first = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    PASSWORDS.main(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [*tmp_path.rglob("*")]}

    assert {path: path.read_text() for path in first} == first
    assert modes == {".env": 0o600, ".secrets": 0o700, "s3.json": 0o444, "mlflow-auth.ini": 0o444, "kubernetes.yaml": 0o600}
    assert {Path(each["file"]).name for each in compose()["secrets"].values()} <= modes.keys()
    assert len(set(PASSWORDS.read(tmp_path / ".env").values())) == len(PASSWORDS.NAMES)


def test_what_passwords_are_in_is_not_for_git() -> None:
    """One commit of it would be for ever."""
    done = subprocess.run(
        ["git", "check-ignore", "infra/.env", "infra/.secrets/s3.json"], cwd=REPOSITORY, capture_output=True, text=True
    )

    assert done.stdout.split() == ["infra/.env", "infra/.secrets/s3.json"]
