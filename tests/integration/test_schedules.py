"""Deployments, a real Prefect server and a real worker, on a project of two small stages: what is scheduled, runs, ends and is told."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.schemas.objects import StateType
from tests.projects import GIT, REPOSITORY, Checkout, make_project, wait_until
from tests.receiver import receiver

from headrace.flow.guards import guards

LIMIT_S = 120.0
POOL = "schedules-test"

WORK = """
import pathlib, subprocess, sys, time
mode = pathlib.Path("mode.txt").read_text().strip()
print("working in mode", mode, flush=True)
if mode == "fail":
    sys.exit("the bucket of the moon is empty")
if mode == "sleep":
    subprocess.run(["sleep", "600"])
pathlib.Path("out/second").write_text(mode)
"""
DAG = """
stages:
  first: {cmd: "echo one > out/first", outs: [out/first]}
  second: {cmd: python work.py, deps: [out/first, work.py, mode.txt], outs: [out/second]}
"""


@dataclass
class Site:
    """A project with an origin, its deployments, and a worker."""

    checkout: Checkout
    origin: Path
    api: str
    temporary: Path
    """Where the worker's clones are."""
    posted: list[dict[str, Any]]
    """What the receiver of notices got."""
    worker: subprocess.Popen[str] = field(init=False)

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """JSON from the Prefect server; with a body a POST."""
        request = urllib.request.Request(
            f"{self.api}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )

        def answered() -> bytes | None:
            try:
                with urllib.request.urlopen(
                    request, timeout=LIMIT_S
                ) as answer:  # one that waits for its SQLite file is no failure
                    return bytes(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code != 503:  # a busy SQLite file; Prefect's own client tries again, too
                    raise
                return None

        return json.loads(wait_until(answered, what=f"an answer to {path}", timeout_s=LIMIT_S))

    def push(self, mode: str) -> None:
        """Have the next runs work in a mode."""
        (self.checkout.folder / "mode.txt").write_text(mode + "\n")
        for command in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", mode], ["push", "-q", "origin", "HEAD:main"]):
            subprocess.run([*GIT, *command], cwd=self.checkout.folder, check=True)

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment as the server has it."""
        return dict(self.ask(f"deployments/name/{name}/{name}"))

    def start(self, name: str = "train") -> str:
        """Have a deployment run now; the run's id."""
        return str(self.ask(f"deployments/{self.deployment(name)['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"])

    def state(self, run: str) -> str:
        """Name of a run's state."""
        return str(self.ask(f"flow_runs/{run}")["state"]["name"])

    def wait(self, run: str, *states: str) -> str:
        """Wait until a run is in one of the states, or in another it does not leave."""
        ends = {*states, "Completed", "Failed", "Crashed", "Cancelled"}
        return str(wait_until(lambda: (now := self.state(run)) in ends and now, what=f"{states or 'an end'}", timeout_s=LIMIT_S))

    def tasks(self, run: str, stages: tuple[str, ...] = ("first", "second")) -> dict[str, str]:
        """How each stage ended. States of tasks reach the server as events, which it may handle after the end of the flow."""

        def ended() -> dict[str, str] | None:
            found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
            states = {each["name"]: each["state"]["name"] for each in found if each["end_time"]}
            return states if states.keys() >= set(stages) else None

        return dict(wait_until(ended, what=f"the end of {' and '.join(stages)}", timeout_s=LIMIT_S))

    def shown(self, run: str) -> dict[str, str]:
        """Its artifacts."""
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {each["key"]: each["data"] for each in found}

    def processes(self) -> list[psutil.Process]:
        """Those that work in a clone of the worker."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.temporary) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def is_at_work(self) -> bool:
        """Whether a stage sleeps in a clone."""
        return _sleeps(self.processes())


@pytest.fixture(scope="module")
def site(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests: a worker takes seconds to come up."""
    base = tmp_path_factory.mktemp("schedules")
    (base / "clones").mkdir()
    deployments = (REPOSITORY / "infra" / "prefect.yaml").read_text().replace("name: headrace", f"name: {POOL}")
    files = {"work.py": WORK, "dvc.yaml": DAG, "mode.txt": "ok\n", "infra/prefect.yaml": deployments}
    checkout = make_project(base / "project", base / "home", files, PREFECT_API_URL=prefect_server, TMPDIR=str(base / "clones"))
    subprocess.run([*GIT, "init", "-q", "--bare", "-b", "main", str(base / "origin.git")], check=True)
    subprocess.run([*GIT, "remote", "add", "origin", f"file://{base / 'origin.git'}"], cwd=checkout.folder, check=True)
    with receiver() as (port, posted):
        checkout.variables["HEADRACE_NOTIFY_URLS"] = f"json://127.0.0.1:{port}/hook"
        checkout.variables |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_HOME": str(base / "prefect")}
        found = Site(checkout, base / "origin.git", prefect_server, base / "clones", posted)
        found.push("ok")
        checkout.headrace("deploy")
        found.worker = checkout.start(
            "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"
        )
        try:
            yield found
        finally:
            for each in [*psutil.Process(found.worker.pid).children(recursive=True), *found.processes()]:
                _kill(each)
            found.worker.kill()
            found.worker.wait(20)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return


@pytest.mark.fault
def test_deploying_again_changes_nothing_and_fires_nothing_twice(site: Site) -> None:
    """A schedule that is made anew has runs of its own at the same hours: the same night would be trained twice."""
    before = site.deployment("train")
    again = json.loads(site.checkout.headrace("deploy", "--json").stdout)
    sweep = site.deployment("sweep")
    site.ask(f"deployments/{sweep['id']}/schedules/{sweep['schedules'][0]['id']}", {"active": False}, method="PATCH")

    assert {each["state"] for each in again} == {"unchanged"}
    path = site.checkout.folder / "infra" / "prefect.yaml"
    path.write_text(path.read_text().replace("Bring every", "Bring each").replace("Find runs", "Find the runs"))
    changed = {each["name"]: each["state"] for each in json.loads(site.checkout.headrace("deploy", "--json").stdout)}
    after = site.deployment("train")

    assert changed["train/train"] == "changed"
    assert changed["promote/promote"] == "unchanged"
    assert after["id"] == before["id"]
    assert site.deployment("sweep")["schedules"][0]["active"] is False  # somebody switched it off in the UI, and had a reason
    assert [each["id"] for each in after["schedules"]] == [each["id"] for each in before["schedules"]]
    due = wait_until(lambda: _due(site, after["id"]), what="the scheduler's runs", timeout_s=LIMIT_S)
    assert len(due) == len(set(due))


def _due(site: Site, deployment: str) -> list[str]:
    """When the server will have a deployment run."""
    wanted = {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    return [run["expected_start_time"] for run in site.ask("flow_runs/filter", {"flow_runs": wanted}) if run["auto_scheduled"]]


@pytest.mark.fault
def test_an_entrypoint_that_does_not_import_is_refused_before_anything_changes(site: Site) -> None:
    """Else it is found at three in the morning, by nobody."""
    path = site.checkout.folder / "infra" / "prefect.yaml"
    before = path.read_text()
    broken = site.checkout.folder / "pipelines" / "broken.py"
    broken.write_text("import no_such_package\n")
    stanza = before[before.index("  - name: promote") : before.index("  - name: sweep")]
    path.write_text(
        before.replace("Bring", "Take")
        + stanza.replace("name: promote", "name: broken").replace("promote.py:promote", "broken.py:x")
    )

    try:
        refused = site.checkout.headrace("deploy", code=2)
    finally:
        path.write_text(before)
        broken.unlink()

    assert "deployment broken: pipelines/broken.py:x cannot be imported" in refused.stderr
    assert "No module named 'no_such_package'" in refused.stderr
    assert "line 1" in refused.stderr
    assert "Take" not in site.deployment("train")["description"]


def test_prune_removes_what_this_project_names_no_longer_and_nothing_else(site: Site) -> None:
    """Several projects share a server, and somebody has made a deployment by hand."""
    path = site.checkout.folder / "infra" / "prefect.yaml"
    before = path.read_text()
    stanza = before[before.index("  - name: promote") : before.index("  - name: sweep")]
    path.write_text(before + stanza.replace("name: promote", "name: former", 1))
    site.checkout.headrace("deploy")
    path.write_text(before)
    flow = site.deployment("promote")["flow_id"]
    others = {"theirs": ["headrace", "project:theirs"], "by-hand": ["headrace"]}
    made = [site.ask("deployments/", {"name": name, "flow_id": flow, "tags": tags})["id"] for name, tags in others.items()]

    def names() -> set[str]:
        return {each["name"] for each in site.ask("deployments/filter", {})}

    said = site.checkout.headrace("deploy", "--dry-run", "--prune").stdout
    assert "removed    promote/former\n" in said
    assert "nothing has been changed" in said
    assert "former" in names()

    done = json.loads(site.checkout.headrace("deploy", "--prune", "--json").stdout)

    assert [each["name"] for each in done if each["state"] != "unchanged"] == ["promote/former"]
    assert names() >= {"train", "promote", "sweep", "theirs", "by-hand"}
    assert "former" not in names()
    for each in made:
        site.ask(f"deployments/{each}", method="DELETE")


def test_a_run_works_in_a_clone_and_shows_every_stage(site: Site) -> None:
    """Any worker may take it: it needs the repository and the cache, and leaves no folder behind."""
    site.push("ok")
    run = site.start()

    assert site.wait(run) == "Completed"
    assert site.tasks(run) == {"first": "Ran", "second": "Ran"}
    shown = site.shown(run)
    assert shown.keys() == {"stage-first", "stage-second", "run"}
    assert "| end state | **ran** |" in shown["stage-second"]
    assert "`out/second`" in shown["stage-second"]
    wait_until(lambda: not list(site.temporary.glob("*prefect")), what="the end of the clone")

    told = site.checkout.headrace("runs", run).stdout
    assert "Completed" in told
    assert "working in mode ok" in told
    recorded = _on(site, "headrace/state:dvc.lock")
    second = site.start()
    assert site.wait(second) == "Completed"
    assert set(site.tasks(second).values()) == {"Unchanged"}  # it began where the first one ended: on the state branch
    quiet = site.shown(second)
    assert quiet.keys() == {"run"}, "the page of an unchanged stage goes on to show the run that made it"
    assert re.search(r"\| second \| unchanged \| .*out/second `[0-9a-f]{8}` \|", quiet["run"])

    assert "out/second" in recorded
    assert _on(site, "headrace/state:dvc.lock") == recorded
    assert _on(site, "headrace/state:mode.txt") == "ok\n", "main is in it"
    assert not _on(site, "main:dvc.lock"), "main gets nothing of it"


def _on(site: Site, what: str) -> str:
    """A file on a branch of the origin, '' without one."""
    return subprocess.run(["git", "show", what], cwd=site.origin, capture_output=True, text=True, check=False).stdout


@pytest.mark.fault
def test_a_failed_stage_is_told_once_with_what_to_type(site: Site) -> None:
    """Nobody watches a night's run: the message must be enough to begin with."""
    site.push("fail")
    site.posted.clear()
    run = site.start()

    assert site.wait(run) == "Failed"
    assert len(site.posted) == 1
    assert site.posted[0]["title"].endswith("train: stage second failed")
    message = site.posted[0]["message"]
    assert "the bucket of the moon is empty" in message
    assert "    working in mode fail" in message
    assert f"headrace runs {run}" in message
    assert "**failed**" in site.shown(run)["stage-second"]


@pytest.mark.fault
def test_cancel_ends_every_process_of_a_run(site: Site) -> None:
    """A stage has a process group of its own, and would go on for hours beside the next run."""
    site.push("sleep")
    run = site.start()
    wait_until(site.is_at_work, what="a stage at work", timeout_s=LIMIT_S)

    site.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    wait_until(lambda: not site.processes(), what="the end of all processes", timeout_s=LIMIT_S)
    assert site.wait(run, "Cancelled") == "Cancelled"
    assert not [each for each in site.posted if run in each["message"]]  # whoever cancelled it knows


@pytest.mark.fault
def test_a_crashed_run_is_started_once_more_and_not_twice(site: Site) -> None:
    """A machine that goes down takes a night with it; a run that kills its machine must not do so for ever."""
    site.push("sleep")
    first = site.start()
    site.posted.clear()
    seen = {first}
    body = {"flow_runs": {"tags": {"all_": ["again"]}, "deployment_id": {"any_": [site.deployment("train")["id"]]}}}
    for _ in range(2):
        wait_until(site.is_at_work, what="a stage at work", timeout_s=LIMIT_S)
        for process in site.processes():
            if "prefect.engine" in _command(process):
                _kill(process)
        wait_until(lambda: not site.is_at_work(), what="the end of what the killed run had started", timeout_s=LIMIT_S)
        if len(seen) == 1:
            seen |= {
                each["id"]
                for each in wait_until(lambda: site.ask("flow_runs/filter", body), what="the second", timeout_s=LIMIT_S)
            }
    assert {site.wait(run) for run in seen} == {"Crashed"}
    wait_until(lambda: _are_over(_sweeps(site)), what="the end of the sweeps", timeout_s=LIMIT_S)

    assert len(site.ask("flow_runs/filter", body)) == 1
    assert [each["title"] for each in site.posted if "crashed" in each["title"]]


def _are_over(runs: list[dict[str, Any]]) -> bool:
    return bool(runs) and not any(each["state"]["type"] in ("PENDING", "RUNNING") for each in runs)


def _sweeps(site: Site) -> list[dict[str, Any]]:
    body = {"flow_runs": {"deployment_id": {"any_": [site.deployment("sweep")["id"]]}, "start_time": {"is_null_": False}}}
    return list(site.ask("flow_runs/filter", body))


@pytest.mark.fault
def test_the_server_ends_what_is_silent_by_itself(site: Site) -> None:
    """With the only worker's machine gone nobody else can: the place of the next night would stay taken."""
    tag, made = "silence-test", []
    for guard in guards(tag=tag, heartbeat_s=5, sweep=None):  # the least that Prefect takes is 10 s
        body = guard.model_dump(mode="json") | {"name": f"{guard.name} ({tag})"}
        made.append(site.ask("automations/", body)["id"])
    flow = site.ask("flows/", {"name": "silence"})["id"]
    runs = {}
    for kind in (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING):
        run = site.ask("flow_runs/", {"flow_id": flow, "tags": [tag], "state": {"type": "SCHEDULED"}})["id"]
        site.ask(f"flow_runs/{run}/set_state", {"state": {"type": kind.value, "name": kind.value.title()}, "force": True})
        runs[kind] = run

    ended = {kind: site.wait(run) for kind, run in runs.items()}

    for automation in made:
        site.ask(f"automations/{automation}", method="DELETE")
    assert ended == {StateType.RUNNING: "Crashed", StateType.PENDING: "Crashed", StateType.CANCELLING: "Cancelled"}


@pytest.mark.fault
def test_of_two_runs_in_one_workspace_the_second_ends_at_once_and_names_the_first(site: Site) -> None:
    """Outputs of both in one folder would be nobody's."""
    (site.checkout.folder / "mode.txt").write_text("sleep\n")
    site.checkout.headrace("setup")
    first = site.checkout.start("headrace", "run", "-q")
    try:
        wait_until(lambda: _sleeps(site.checkout.processes()), what="the first at work", timeout_s=LIMIT_S)

        second = site.checkout.headrace("run", code=5)

        assert f"process {first.pid} has been running" in second.stderr
    finally:
        first.terminate()
        first.wait(60)
        (site.checkout.folder / "mode.txt").write_text("ok\n")
    wait_until(lambda: not _sleeps(site.checkout.processes()), what="the end of the first's stage", timeout_s=LIMIT_S)


def _sleeps(processes: list[psutil.Process]) -> bool:
    return any(_command(process) == "sleep 600" for process in processes)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


@pytest.mark.fault
def test_a_cron_schedule_fires_once_a_day_when_clocks_change() -> None:
    """In October 2:30 comes twice and in March not at all."""
    import asyncio

    from prefect.server.schemas.schedules import CronSchedule

    schedule = CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin")
    for begin in (datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 3, 26, tzinfo=UTC)):
        dates = asyncio.run(schedule.get_dates(n=20, start=begin, end=begin + timedelta(days=6)))
        days = [date.astimezone(dates[0].tzinfo).date() for date in dates]

        assert len(days) == len(set(days))
        assert len(days) >= 5
