"""The servers of infra/compose.yaml as plain processes: its commands and variables on a real PostgreSQL and a real bucket.

No container engine is needed: what an engine adds (users, limits, networks) is checked in tests/contracts.
"""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.infra import INFRA, K8S, documents, interpolated, script
from tests.postgres import Postgres
from tests.projects import BIN, wait_until
from tests.services import ObjectStore, free_port

PASSWORDS = script("passwords.py")
START_LIMIT_S = 240


class Composition:
    """compose.yaml with its hosts and paths replaced by those of this test."""

    def __init__(self, folder: Path, database: Postgres, store: ObjectStore) -> None:
        self.folder, self.store = folder, store
        self.values = PASSWORDS.complete({})
        self.ports = {"mlflow": free_port(), "prefect": free_port()}
        self.services = documents((INFRA / "compose.yaml").read_text())[0]["services"]
        self.places = {
            "@postgres/": f"@127.0.0.1:{database.port}/",
            "http://s3:8333": store.endpoint,
            "/run/secrets/": f"{folder}/",
            "s3://headrace/": f"s3://{store.make_bucket()}/",
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={self.ports['mlflow']}",
            "127.0.0.1:5000": f"127.0.0.1:{self.ports['mlflow']}",
            "127.0.0.1:4200": f"127.0.0.1:{self.ports['prefect']}",
        }
        auth = PASSWORDS.AUTH.format(password=self.values["MLFLOW_DATABASE_PASSWORD"])
        (folder / "mlflow-auth.ini").write_text(self.here(auth))

    def here(self, text: str) -> str:
        """A text with the places of this test."""
        for there, ours in self.places.items():
            text = text.replace(there, ours)
        return text

    def command(self, name: str) -> list[str]:
        """What a service starts."""
        words = [self.here(str(each)) for each in interpolated(self.services[name]["command"], self.values)]
        moved = {"0.0.0.0": "127.0.0.1", "4200": str(self.ports["prefect"])}  # noqa: S104  # the container's
        return [str(BIN / words[0]), *(moved.get(word, word) for word in words[1:])]

    def environment(self, name: str) -> dict[str, str]:
        """What a service is told; the keys are those of this test's bucket."""
        told = {
            key: self.here(str(value)) for key, value in interpolated(self.services[name]["environment"], self.values).items()
        }
        ours = {key: value for key, value in self.store.variables.items() if key in told}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PREFECT_", "AWS_"))}
        return {**kept, **told, **ours, "PREFECT_HOME": str(self.folder / "prefect"), "TMPDIR": str(self.folder)}

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """A service, until the end of the block."""
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.command(name),
                env=self.environment(name),
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)

    def wait(self, name: str, url: str) -> None:
        """Return once a server answers, and its own health check, as compose.yaml has it, agrees."""
        try:
            wait_until(lambda: answer(url) == 200, what=f"{name}'s answer", timeout_s=START_LIMIT_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(self.folder / f'{name}.log').read_text()[-3000:]}") from None
        _, *words = [self.here(each) for each in self.services[name]["healthcheck"]["test"]]
        checked = subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def make_databases(database: Postgres, values: dict[str, str]) -> None:
    """Run the script that the postgres image runs on an empty volume."""
    environment = {
        "PATH": f"{database.programs}:{os.environ['PATH']}",
        "POSTGRES_USER": "headrace",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.port),
        "PGPASSWORD": database.password,
        **{name: values[name] for name in ("MLFLOW_DATABASE_PASSWORD", "PREFECT_DATABASE_PASSWORD")},
    }
    done = subprocess.run([K8S / "overlays" / "local" / "databases.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def answer(url: str, login: str = "", body: Any = None) -> int:
    """The status of a request."""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        time.sleep(0.1)
        return 0


@pytest.mark.fault
def test_the_servers_of_compose_start_and_refuse_strangers(
    tmp_path: Path, object_store: ObjectStore, postgres_server: Postgres
) -> None:
    """Databases by its script, schema by its one-shot service; each server is healthy by its own check, and closed without a password."""
    place = Composition(tmp_path, postgres_server, object_store)
    make_databases(postgres_server, place.values)
    mlflow, prefect = (f"http://127.0.0.1:{place.ports[name]}" for name in ("mlflow", "prefect"))
    with place.running("prefect"):
        schema = subprocess.run(
            place.command("mlflow-schema"), env=place.environment("mlflow-schema"), cwd=tmp_path, capture_output=True, text=True
        )
        assert schema.returncode == 0, schema.stderr[-2000:]
        with place.running("mlflow"):
            place.wait("mlflow", f"{mlflow}/health")
            place.wait("prefect", f"{prefect}/api/health")
            search = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
            login = f"headrace:{place.values['MLFLOW_TRACKING_PASSWORD']}"
            flows, known = f"{prefect}/api/flows/count", f"headrace:{place.values['PREFECT_PASSWORD']}"

            assert [answer(search), answer(search, "headrace:wrong"), answer(search, login)] == [401, 401, 200]
            assert [answer(flows, body={}), answer(flows, "headrace:wrong", {}), answer(flows, known, {})] == [401, 401, 200]
            make_pools(place)
            put_artifact(place, mlflow, login)
    refused_elsewhere(postgres_server, place.values)


def make_pools(place: Composition) -> None:
    """The script of infra/k8s makes its pools on this server, twice; the server keeps the template with the image of the runs."""
    url, auth = f"http://127.0.0.1:{place.ports['prefect']}/api", f"headrace:{place.values['PREFECT_PASSWORD']}"
    environment = {
        **place.environment("prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": auth,
        "RUN_IMAGE_GPU": "headrace:7",
    }
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    pools = K8S / "base" / "pools"
    for _ in range(2):
        done = subprocess.run(
            [BIN / "python", pools / "make_pools.py", "gpu", pools / "gpu-job.json", "RUN_IMAGE_GPU"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    request = urllib.request.Request(f"{url}/work_pools/gpu")
    request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    with urllib.request.urlopen(request, timeout=30) as found:
        pool = json.loads(found.read())
    assert pool["type"] == "kubernetes"
    assert pool["base_job_template"]["variables"]["properties"]["image"]["default"] == "headrace:7"


def put_artifact(place: Composition, url: str, login: str) -> None:
    """An artifact that is sent to MLflow is an object in the bucket."""
    path = f"{url}/api/2.0/mlflow-artifacts/artifacts/probe/a.txt"
    request = urllib.request.Request(path, data=b"kept", method="PUT")
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=60) as found:
        assert found.status == 200
    bucket = re.sub(r"s3://(.*)/", r"\1", place.places["s3://headrace/"])
    assert place.store.client().get_object(Bucket=bucket, Key="mlflow/probe/a.txt")["Body"].read() == b"kept"


def refused_elsewhere(database: Postgres, values: dict[str, str]) -> None:
    """A server's role gets into its own databases only."""
    for role, other in (("mlflow", "prefect"), ("prefect", "mlflow"), ("prefect", "mlflow_auth")):
        url = f"postgresql://{role}:{values[f'{role.upper()}_DATABASE_PASSWORD']}@127.0.0.1:{database.port}/{other}"
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url, connect_timeout=10)


def test_the_bucket_is_made_once(object_store: ObjectStore) -> None:
    """The one-shot service runs at each `up`: a bucket that is there is no error, a wrong key is one."""
    command = [BIN / "python", INFRA / "make_bucket.py", "made-by-infra"]
    environment = {**os.environ, **object_store.variables}
    first, second = (subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2))
    wrong = subprocess.run(command, env={**environment, "AWS_SECRET_ACCESS_KEY": "wrong"}, capture_output=True, text=True)

    assert (first.returncode, first.stdout) == (0, "made-by-infra made\n"), first.stderr
    assert (second.returncode, second.stdout) == (0, "made-by-infra was there\n"), second.stderr
    assert wrong.returncode == 1
    assert "SignatureDoesNotMatch" in wrong.stderr or "AccessDenied" in wrong.stderr or "InvalidAccessKeyId" in wrong.stderr
