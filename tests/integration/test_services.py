"""`headrace up`, `ps`, `down` with the real MLflow, Prefect, worker and S3 server, as a person would run them."""

import json
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.projects import BIN, is_alive, wait_until
from tests.sites import UP_LIMIT_S, Site

from headrace.services.asking import ask
from headrace.services.credentials import FILE
from headrace.services.probes import probes
from headrace.settings import load_settings

FLOW = """
from prefect import flow

@flow
def hello(word: str = "hello") -> str:
    return word
"""
DEPLOY = """
import sys
from prefect import flow
from prefect.deployments import run_deployment

flow.from_source(source=sys.argv[1], entrypoint="flow.py:hello").to_deployment("test", work_pool_name="headrace").apply()
run = run_deployment("hello/test", timeout=float(sys.argv[2]), poll_interval=1)
print("state", run.state.name)
"""


@pytest.fixture(scope="module")
def site(services_site: Site) -> Site:
    """Services that are up; a test that ends one brings it up again."""
    services_site.up()
    return services_site


@pytest.fixture
def mlflow_client(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As a user's own script gets it."""
    from mlflow import MlflowClient

    for name, value in site.client_environment.items():
        if name.startswith("MLFLOW_TRACKING"):
            monkeypatch.setenv(name, value)
    return MlflowClient(site.client_environment["MLFLOW_TRACKING_URI"])


def test_an_mlflow_run_has_its_artifact_in_the_bucket(site: Site, mlflow_client: Any, tmp_path: Path) -> None:
    """Through the server: the client has no key of the bucket."""
    import boto3

    (tmp_path / "model.bin").write_bytes(b"weights")
    experiment = mlflow_client.create_experiment("artifacts")
    run = mlflow_client.create_run(experiment)
    mlflow_client.log_artifact(run.info.run_id, str(tmp_path / "model.bin"))

    keys = {name: value for name, value in site.client_environment.items() if name.startswith("AWS_")}
    s3 = boto3.client(
        "s3", endpoint_url=keys["AWS_ENDPOINT_URL_S3"], region_name=keys["AWS_DEFAULT_REGION"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    found = s3.get_object(Bucket="mlflow", Key=f"{experiment}/{run.info.run_id}/artifacts/model.bin")
    assert found["Body"].read() == b"weights"


def run_flow(site: Site, folder: Path, timeout_s: int = 180) -> str:
    (folder / "flow.py").write_text(FLOW)
    done = subprocess.run(
        [BIN / "python", "-c", DEPLOY, str(folder), str(timeout_s)], env={**site.client_environment, "PREFECT_HOME": str(folder)},
        capture_output=True, text=True, timeout=timeout_s + 120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()[-1]


def test_the_worker_runs_a_deployment(site: Site, tmp_path: Path) -> None:
    assert run_flow(site, tmp_path) == "Completed"


def test_doctor_proves_each_service(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round trip each, and an anonymous call that is refused."""
    monkeypatch.setenv("HEADRACE_HOME", str(site.home))

    said = {name: prove() for name, prove in probes(load_settings(site.project))}

    assert list(said) == ["object-store", "mlflow", "prefect", "worker"]
    assert all("refused" in said[name] for name in ("object-store", "mlflow", "prefect"))


@pytest.mark.parametrize(
    "path", ["", "api/2.0/mlflow/experiments/search?max_results=1", "api/2.0/mlflow-artifacts/artifacts", "ajax-api/3.0/jobs/1"]
)
def test_mlflow_answers_nobody_without_the_password(site: Site, path: str) -> None:
    """Also not to the administrator that MLflow came with for years."""
    url = f"{site.client_environment['MLFLOW_TRACKING_URI']}/{path}"

    assert ask(url)[0] == 401
    assert ask(url, login=("admin", "password1234"))[0] == 401
    assert ask(url, login=("headrace", site.secrets.mlflow_password), headers={"Host": "elsewhere.example"})[0] == 403


@pytest.mark.parametrize("path", ["flow_runs/filter", "variables/filter", "deployments/filter"])
def test_prefect_answers_nobody_without_the_auth_string(site: Site, path: str) -> None:
    url = f"{site.client_environment['PREFECT_API_URL']}/{path}"

    assert ask(url, method="POST", json_body={})[0] == 401
    assert ask(url, method="POST", json_body={}, login=("headrace", site.secrets.prefect_password))[0] == 200


def test_services_listen_on_this_machine_only(site: Site) -> None:
    listening = {
        each.laddr[0]
        for pid in site.all_processes()
        for each in psutil.Process(pid).net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_nothing_can_be_read_by_other_users(site: Site) -> None:
    open_to_others = [path for path in site.services.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o077]

    assert open_to_others == []


def test_a_second_up_starts_nothing(site: Site) -> None:
    before = site.pids()

    said = site.headrace("up", "--detach")

    assert site.pids() == before
    assert "all services were up" in said


def test_the_page_shows_no_secret(site: Site) -> None:
    said = site.headrace("up", "--detach") + site.headrace("ps") + site.headrace("logs")

    assert not any(value in said for value in vars(site.secrets).values())
    assert site.client_environment["MLFLOW_TRACKING_URI"] in said


def kill(pid: int) -> None:
    psutil.Process(pid).kill()
    wait_until(lambda: not is_alive(pid), what=f"the end of {pid}")


@pytest.mark.fault
def test_a_killed_mlflow_comes_back_with_every_acknowledged_metric(site: Site, mlflow_client: Any, monkeypatch: Any) -> None:
    """Kill -9 of the server's parent while a client writes: its worker survives, and holds the port."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = mlflow_client.create_run(mlflow_client.create_experiment("killed")).info.run_id
    before, acknowledged = site.pids(), []

    def write() -> None:
        for step in range(100_000):
            try:
                mlflow_client.log_metric(run, "loss", float(step), step=step)
            except Exception:  # noqa: BLE001  # the server is killed under it: any error will do
                return
            acknowledged.append(step)

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 5, what="the first metrics")
    for process in [*psutil.Process(before["mlflow"]).children(), psutil.Process(before["mlflow"])][::-1]:
        process.kill()
    writer.join(60)
    said = site.headrace("up", "--detach")

    after = site.pids()
    assert "mlflow is up" in said
    assert after.pop("mlflow") != before.pop("mlflow")
    assert after == before
    assert {metric.step for metric in mlflow_client.get_metric_history(run, "loss")} >= set(acknowledged)


@pytest.mark.fault
def test_an_orphan_of_a_killed_mlflow_gives_its_port_back(site: Site) -> None:
    """Kill -9 of the parent alone: what serves the port is a process that nobody waits for."""
    parent = site.pids()["mlflow"]
    orphans = [child.pid for child in psutil.Process(parent).children()]
    kill(parent)

    said = site.headrace("up", "--detach")

    assert re.search(r"mlflow: \d+ process(es)? of a killed one ended", said)
    assert not any(is_alive(pid) for pid in orphans)
    assert site.rows()["mlflow"]["state"] == "up"


@pytest.mark.fault
def test_a_killed_prefect_server_comes_back_with_what_was_written(site: Site, tmp_path: Path) -> None:
    """Kill -9 in mid-write, on SQLite."""
    api, login = site.client_environment["PREFECT_API_URL"], ("headrace", site.secrets.prefect_password)
    before, acknowledged = site.pids(), []

    def write() -> None:
        for number in range(100_000):
            body = {"name": f"killed_{number}", "value": number}
            if ask(f"{api}/variables/", login=login, method="POST", json_body=body)[0] not in (200, 201):
                return
            acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 5, what="the first variables")
    kill(before["prefect"])
    writer.join(60)
    site.headrace("up", "--detach")

    assert site.pids()["prefect"] != before["prefect"]
    for number in acknowledged:
        status, body = ask(f"{api}/variables/name/killed_{number}", login=login)
        assert (status, json.loads(body)["value"]) == (200, number)
    assert run_flow(site, tmp_path) == "Completed"


@pytest.mark.fault
def test_a_killed_worker_comes_back(site: Site, tmp_path: Path) -> None:
    kill(site.pids()["worker"])

    site.headrace("up", "--detach")

    assert run_flow(site, tmp_path) == "Completed"


@pytest.mark.fault
def test_a_killed_object_store_comes_back_with_its_objects(site: Site, mlflow_client: Any, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    run = mlflow_client.create_run(mlflow_client.create_experiment("store")).info.run_id
    mlflow_client.log_artifact(run, str(tmp_path / "model.bin"))
    kill(site.pids()["object-store"])

    assert site.rows()["object-store"]["state"] == "down"
    site.headrace("up", "--detach")

    (tmp_path / "back").mkdir()
    assert Path(mlflow_client.download_artifacts(run, "model.bin", str(tmp_path / "back"))).read_bytes() == b"weights"


@pytest.mark.fault
def test_two_ups_at_once_start_each_service_once(site: Site) -> None:
    """A cron job and a person, or two persons."""
    for name in ("worker", "object-store"):
        kill(site.pids()[name])

    both = [site.start("up", "--detach") for _ in range(2)]
    said = [process.communicate(timeout=UP_LIMIT_S)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("all services were up" in each for each in said) == [False, True]
    assert [len([line for line in each.splitlines() if line == "  worker is up"]) for each in sorted(said, key=len)] in (
        [0, 1],
        [1, 0],
    )


@pytest.mark.fault
def test_a_stale_pid_is_nobody(site: Site) -> None:
    """After a reboot the number of the worker may be a database of the system."""
    kill(site.pids()["worker"])
    bystander = subprocess.Popen(["sleep", "600"])
    path = site.services / "state.json"
    known = json.loads(path.read_text())
    known["processes"]["worker"]["process"]["pid"] = bystander.pid
    path.write_text(json.dumps(known))

    assert site.rows()["worker"]["state"] == "down"
    site.headrace("up", "--detach")

    assert site.rows()["worker"]["state"] == "up"
    assert is_alive(bystander.pid)
    bystander.kill()
    bystander.wait(5)


@pytest.mark.fault
def test_lost_passwords_are_made_anew_and_the_services_take_them(site: Site) -> None:
    """Somebody removed the file: no client could log in, and `up` would call all of it up."""
    before = site.pids()
    (site.services / FILE).unlink()
    site.rows()  # whoever looks first makes new ones

    said = site.headrace("up", "--detach")

    assert f"the passwords in {FILE} are new" in said
    assert not set(before.values()) & set(site.pids().values())
    assert {row["state"] for row in site.rows().values()} == {"up"}
    api, login = site.client_environment["PREFECT_API_URL"], ("headrace", site.secrets.prefect_password)
    assert ask(f"{api}/flows/filter", login=login, method="POST", json_body={})[0] == 200


def test_down_ends_everything_and_up_finds_everything(site: Site, mlflow_client: Any) -> None:
    """What is stored stays, at the same URLs, with the same passwords. The last test of this file: it leaves nothing up."""
    mlflow_client.create_experiment("kept")
    urls = {name: row["url"] for name, row in site.rows().items()}
    pids = site.all_processes()

    said = site.headrace("down")

    assert "what they stored stays" in said
    assert site.all_processes() == []
    assert not any(is_alive(pid) for pid in pids)
    assert {row["state"] for row in site.rows().values()} == {"down"}
    assert "no service was running" in site.headrace("down")

    # In the foreground this time: it brings back what dies, and Ctrl-C ends all.
    process = site.start("up")
    wait_until(lambda: {row["state"] for row in site.rows().values()} == {"up"}, what="all services", timeout_s=UP_LIMIT_S)

    assert {name: row["url"] for name, row in site.rows().items()} == urls
    assert mlflow_client.get_experiment_by_name("kept") is not None

    worker = site.pids()["worker"]
    kill(worker)
    wait_until(lambda: site.pids()["worker"] not in (None, worker), what="another worker", timeout_s=60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    assert "worker died; starting it again" in said
    assert site.all_processes() == []
