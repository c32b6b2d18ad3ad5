"""One night as it is meant to be: a cron schedule, a worker, MLflow, Prefect, an S3 server, PostgreSQL and git, all real.

Two runs for all tests: the first is fired by its schedule and makes a champion; the query of the second is wrong: it fails and is told.
"""

import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tests.canary import forms, places
from tests.postgres import Postgres
from tests.projects import GIT, Checkout, wait_until
from tests.receiver import receiver
from tests.sites import Site

from headrace.params import read_yaml
from headrace.registry.trace import parse_yaml
from headrace.services.asking import ask
from headrace.services.credentials import FILE, USER

LIMIT_S = 600.0
RECORDS = 300
CARRIED = ("dvc.lock", "data/sources.lock", "ledger.jsonl")
STEPS = {"record", "register", "promote", "push"}
STAGES = {"collect", "validate", "split", "augment", "train", "baseline", "evaluate", "package"}
QUERY = "select id, image, label from digits"
SMALL: dict[str, dict[str, Any]] = {
    "split": {"validation": 0.2},
    "augment": {"copies": 0},
    "train": {"epochs": 1},
    "baseline": {"models": ["majority"]},
    "evaluate": {"thresholds": {}, "max_regression": 1.0, "resamples": 100},
    "package": {"check_records": 8},
}


@dataclass
class Night:
    """What there is in the morning."""

    site: Site
    origin: Path
    main: str
    """Commit of main that the first run worked on."""
    secrets: dict[str, str]
    database: str
    """URL without the password."""
    posted: list[dict[str, Any]]
    """What the receiver of notices got."""
    run: dict[str, Any] = field(default_factory=dict)
    """The run that the schedule fired, as Prefect's server has it."""
    carried: str = ""
    """Commit of the state branch after that run."""
    failed: dict[str, Any] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    """Command lines of processes of the worker while the first run was at work."""

    def git(self, *arguments: str) -> str:
        """Ask the repository that all clone."""
        return subprocess.run(["git", *arguments], cwd=self.origin, check=True, capture_output=True, text=True).stdout.strip()

    def lock(self) -> dict[str, Any]:
        """The entries of dvc.lock on the state branch."""
        return dict(parse_yaml(self.git("show", f"{self.carried}:dvc.lock"))["stages"])

    def mlflow(self, path: str) -> Any:
        """What the MLflow server answers."""
        login = (USER, self.site.secrets.mlflow_password)
        url = f"{self.site.client_environment['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/{path}"
        status, answer = ask(url, login=login, timeout_s=60)
        assert status == 200, answer
        return json.loads(answer)

    def wait(self, run: str, *, seen: set[str]) -> dict[str, Any]:
        """A run in the state in which it ends."""

        def ended() -> Any:
            time.sleep(0.5)
            seen.update(_commands(self.site))
            found = self.site.prefect(f"flow_runs/{run}", method="GET")
            return found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") and found

        return dict(wait_until(ended, what=f"the end of the run {run}", timeout_s=LIMIT_S))

    def told(self, run: str) -> str:
        """The log of a run, for whoever has to see why it failed."""
        lines = self.site.prefect("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        return "\n".join(line["message"] for line in lines)


@pytest.fixture(scope="module")
def night(
    services_site: Site, origin: Path, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Night]:
    """A project of 300 digits in a database, with everything around it, after two runs."""
    site, base = services_site, tmp_path_factory.mktemp("night")
    subprocess.run(["git", "clone", "-q", str(origin), str(site.project)], check=True)
    bare = base / "origin.git"
    subprocess.run([*GIT, "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    _git(site, "remote", "set-url", "origin", f"file://{bare}")
    project = Checkout(site.project, site.home)
    database = _database(postgres_server)
    _reduce(project, database)
    with receiver() as (port, posted):
        secrets = {"webhook": f"canary{os.urandom(16).hex()}", "database": postgres_server.password}
        private = site.project / ".env"
        private.touch(mode=0o600)
        private.write_text(
            f"HEADRACE_NOTIFY_URLS=json://somebody:{secrets['webhook']}@127.0.0.1:{port}/hook\n"
            f"HEADRACE_SQL_PASSWORD_DIGITS={secrets['database']}\nHEADRACE_STATE_BRANCH=headrace/state\n"
        )
        if "worker" in (running := _running(site)):
            running["worker"].kill()  # another module's, which has not read our .env
        site.up()
        site.headrace("remote", "add", "s3://night/data", "--shared", "--create")
        found = Night(site, bare, _push(site, "A project of digits"), secrets | vars(site.secrets), database, posted)
        site.headrace("deploy")
        found.run = _fired(found)
        found.carried = found.git("rev-parse", "headrace/state")
        project.set_param("collect", sources=[{**_source(project), "query": QUERY.replace("label", "lable")}])
        _push(site, "A slip of the pen")
        train = site.prefect("deployments/name/train/train", method="GET")
        second = site.prefect(f"deployments/{train['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        found.failed = found.wait(second["id"], seen=found.commands)
        yield found


def _database(server: Postgres) -> str:
    """URL of a database with digits as pictures."""
    name = server.make_database()
    server.execute(name, "create table digits (id bigint primary key, image bytea, label text)")
    digits = load_digits()
    with psycopg.connect(server.url(name, password=True)) as connection, connection.cursor() as cursor:
        for number in range(RECORDS):
            held = io.BytesIO()
            Image.fromarray((digits.images[number] * 15.9).astype("uint8")).save(held, "PNG")
            cursor.execute("insert into digits values (%s, %s, %s)", (number, held.getvalue(), str(digits.target[number])))
    return server.url(name)


def _reduce(project: Checkout, url: str) -> None:
    """The recipe of the reference project, as small as it goes."""
    source = {"kind": "sql", "name": "digits", "url": url, "query": QUERY, "order_by": ["id"]}
    options = {"payload": "image", "payload_as": "bytes", "label": "label"}
    project.set_param("collect", sources=[source], format="parquet", options=options)
    for section, values in SMALL.items():
        project.set_param(section, **values)
    path = project.folder / "infra" / "prefect.yaml"
    text = path.read_text()
    # On a loaded machine a minute's silence is no crash.
    for here, there in (('cron: "0 3 * * *"', 'cron: "* * * * *"'), ('HEARTBEAT_FREQUENCY: "30"', 'HEARTBEAT_FREQUENCY: "300"')):
        assert here in text
        text = text.replace(here, there)
    path.write_text(text)


def _source(project: Checkout) -> dict[str, Any]:
    return dict(read_yaml(project.folder / "params.yaml")["collect"]["sources"][0])


def _git(site: Site, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=site.project, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _push(site: Site, message: str) -> str:
    _git(site, "add", "-A")
    _git(site, "commit", "-q", "-m", message)
    _git(site, "push", "-q", "origin", "HEAD:main")
    return _git(site, "rev-parse", "HEAD")


def _fired(night: Night) -> dict[str, Any]:
    """The first run that the schedule makes, to its end; no further one is made."""
    deployment = night.site.prefect("deployments/name/train/train", method="GET")
    mine = {
        "deployment_id": {"any_": [deployment["id"]]},
        "state": {"type": {"not_any_": ["SCHEDULED", "CANCELLED"]}},
    }

    def begun() -> Any:
        time.sleep(0.5)
        return night.site.prefect("flow_runs/filter", {"flow_runs": mine})

    [run] = wait_until(begun, what="the schedule's first run", timeout_s=LIMIT_S)
    [schedule] = deployment["schedules"]
    night.site.prefect(f"deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False}, method="PATCH")
    return night.wait(run["id"], seen=night.commands)


def _running(site: Site) -> dict[str, psutil.Process]:
    """The services that live."""
    state = site.services / "state.json"
    known = json.loads(state.read_text())["processes"] if state.exists() else {}
    pids = {name: each["process"]["pid"] for name, each in known.items()}
    return {name: psutil.Process(pid) for name, pid in pids.items() if psutil.pid_exists(pid)}


def _commands(site: Site) -> Iterator[str]:
    """Command lines of the services, and of what the worker has started."""
    for service in _running(site).values():
        for process in (service, *service.children(recursive=True)):
            with suppress(psutil.Error):  # it has ended meanwhile
                yield " ".join(process.cmdline())


def test_the_schedule_runs_every_stage(night: Night) -> None:
    """Nobody has typed anything."""

    def ended() -> dict[str, str] | None:
        # States of tasks reach the server as events, which it may handle after the end of the flow.
        tasks = night.site.prefect("task_runs/filter", {"flow_runs": {"id": {"any_": [night.run["id"]]}}, "limit": 50})
        found = {task["name"]: task["state"]["name"] for task in tasks if task["end_time"]}
        return found if found.keys() >= {*STAGES, *STEPS} else None

    states = wait_until(ended, what="the end of every stage", timeout_s=60)

    assert night.run["state"]["name"] == "Completed", night.told(night.run["id"])
    assert night.run["auto_scheduled"]
    assert {states[name] for name in STAGES} == {"Ran"}
    assert {states[name] for name in STEPS} == {"Ran"}


def test_the_state_branch_is_carried_forward_and_main_is_left_alone(night: Night) -> None:
    """The next night builds on this one; what is on main is for people to decide."""
    carried = night.git("ls-tree", "-r", "--name-only", night.carried).splitlines()
    history = night.git("rev-list", "main").splitlines()

    assert set(CARRIED) <= set(carried)
    assert history[1] == night.main, "one commit more than before the night: the person's"
    assert "dvc.lock" not in night.git("ls-tree", "-r", "--name-only", "main").splitlines()
    assert night.git("merge-base", night.main, night.carried) == night.main
    [entry] = map(json.loads, night.git("show", f"{night.carried}:ledger.jsonl").splitlines())
    assert entry["action"] == "promote"


def test_the_champion_is_registered_with_where_it_comes_from(night: Night) -> None:
    """Whoever asks in a year has only this to go by."""
    version = night.mlflow("registered-models/alias?name=digits&alias=champion")["model_version"]
    run = night.mlflow(f"runs/get?run_id={version['run_id']}")["run"]
    lock = night.lock()
    made = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}

    for entries in (version["tags"], run["data"]["tags"]):
        tags = {entry["key"]: entry["value"] for entry in entries}
        assert tags["headrace.prefect_run"] == night.run["id"]
        assert tags["headrace.git.commit"] == night.main
        assert tags["headrace.git.dirty"] == "false"
        assert {"headrace.environment", "headrace.suite", "headrace.sha256.dvc.lock"} <= tags.keys()
        read = {dep["path"]: dep["md5"] for dep in lock["train"]["deps"]}
        assert {name: tags[f"headrace.dep.{name}"] for name in read} == read
    tags = {entry["key"]: entry["value"] for entry in version["tags"]}
    assert tags["headrace.out.models/package"] == made["models/package"]


def test_every_object_of_the_lock_is_in_the_bucket(night: Night) -> None:
    """What the state branch promises, another machine can have."""
    variables = night.site.client_environment
    client = boto3.client(
        "s3", endpoint_url=variables["AWS_ENDPOINT_URL_S3"], region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"], aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="night", Prefix="data/")
    keys = {each["Key"] for page in pages for each in page.get("Contents", ())}
    outs = [out for stage in night.lock().values() for out in stage["outs"]]

    assert {out["path"] for out in outs} >= {"data/raw", "models/package", "reports/evaluate.json"}
    assert {f"data/files/md5/{out['md5'][:2]}/{out['md5'][2:]}" for out in outs} <= keys
    assert any("/runs/" in key for key in keys), "the run-cache"


def test_another_machine_has_everything_and_executes_nothing(night: Night, tmp_path: Path) -> None:
    """A clone of the state branch, an empty disk, the keys."""
    variables = {name: value for name, value in night.site.client_environment.items() if name.startswith(("AWS_", "PREFECT_"))}
    subprocess.run(["git", "clone", "-q", "-b", "headrace/state", str(night.origin), str(tmp_path / "clone")], check=True)
    subprocess.run(["git", "reset", "-q", "--hard", night.carried], cwd=tmp_path / "clone", check=True)
    other = Checkout(tmp_path / "clone", tmp_path / "home", {**variables, "HEADRACE_TRACKING": "false"})
    other.headrace("setup")

    states = other.states()

    assert {states[name] for name in STAGES} == {"restored"}
    assert other.run("git", "status", "--porcelain").stdout == ""
    assert (other.folder / "models" / "package" / "model.pt2").exists()
    assert set().union(*places(night.secrets, [tmp_path]).values()) == set()


@pytest.mark.fault
def test_a_night_that_fails_is_told(night: Night) -> None:
    """The database's own words, and what to type; the champion and the state stay what they were."""
    assert night.failed["state"]["name"] == "Failed", night.told(night.failed["id"])
    [message] = night.posted
    assert "lable" in message["message"]
    assert f"headrace runs {night.failed['id']}" in message["message"]
    assert night.git("diff", "--name-only", night.carried, "headrace/state", "--", *CARRIED) == ""


@pytest.mark.fault
def test_no_secret_is_in_a_store_or_a_log_or_a_command_line(night: Night) -> None:
    """Stores are copied, logs are mailed around, command lines are public on a machine."""
    site = night.site
    known = {site.services / FILE, site.project / ".env", *(site.services / "object-store" / "etc").iterdir()}
    said = "\n".join([site.headrace("logs", "--last", "100000"), site.headrace("runs", night.failed["id"]), *night.commands])
    said += json.dumps(night.posted)
    public = {"run": night.run["id"], "database": night.database}

    found = places(
        night.secrets | {f"public {name}": value for name, value in public.items()},
        [site.home, site.project, night.origin.parent],
        repositories=[night.origin, site.project],
    )

    assert {name: found[name] - known for name in night.secrets} == {name: set() for name in night.secrets}
    assert all(found[name] for name in night.secrets), "each is where it has to be"
    assert [name for name, value in night.secrets.items() if any(piece.decode() in said for piece in forms(value))] == []
    stores = {"prefect/prefect.db", "mlflow/mlflow.db"}
    reached = {str(path.relative_to(site.services)) for path in found["public run"] if path.is_relative_to(site.services)}
    assert stores <= reached, "what is in a database is found"
    assert night.origin in found["public database"], "what is in git is found"
    assert any(path.is_relative_to(site.services / "object-store") for path in found["public database"]), "and in the bucket"
    assert "prefect.engine" in said, "and in a command line"
