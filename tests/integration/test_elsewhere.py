"""A stage that runs on another pool, with a worker that shares only the bucket, the git remote and the Prefect server with us."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.projects import BIN, GIT, Checkout, make_project, wait_until
from tests.services import ObjectStore

DAG = """\
stages:
  first:
    cmd: echo first >> "$TRACE"; echo one > out/first
    outs: [out/first]
  heavy:
    cmd: >-
      echo heavy >> "$TRACE"; cat out/first code.txt > out/heavy; echo the end is near;
      case "$(cat code.txt)" in slow) sleep 600;; broken) exit 1;; esac
    deps: [out/first, code.txt]
    outs: [out/heavy]
    meta: {pool: gpu}
  after:
    cmd: echo after >> "$TRACE"; cp out/heavy out/after
    deps: [out/heavy]
    outs: [out/after]
"""
DEPLOYMENTS = """\
deployments:
  - name: gpu
    entrypoint: pipelines/stage.py:stage
    work_pool: {name: gpu}
    pull:
      - prefect.deployments.steps.git_clone:
          id: code
          repository: "{{ $HEADRACE_REPOSITORY }}"
      - headrace.flow.checkout.prepare:
          directory: "{{ code.directory }}"
"""


class Site:
    """A project here, and what its stages did here and there."""

    def __init__(self, here: Checkout, folder: Path) -> None:
        self.here, self.folder = here, folder

    def worked(self, where: str) -> list[str]:
        """Stages in the order in which they ran at a place."""
        path = self.folder / f"{where}.txt"
        return path.read_text().split() if path.exists() else []

    def write(self, code: str) -> None:
        """Edit what `heavy` reads; the edit is not committed."""
        (self.here.folder / "code.txt").write_text(code)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, prefect_server: str, object_store: ObjectStore) -> Iterator[Site]:
    """A project whose middle stage belongs to the pool `gpu`, and a worker of that pool."""
    root = tmp_path_factory.mktemp("elsewhere")
    variables = {**object_store.variables, "PREFECT_API_URL": prefect_server, "TRACE": str(root / "here.txt")}
    files = {"dvc.yaml": DAG, "code.txt": "two\n", "infra/prefect.yaml": DEPLOYMENTS}
    here = make_project(root / "here", root / "home", files, **variables)
    here.headrace("remote", "add", f"s3://{object_store.make_bucket()}/data", "--shared")
    here.run("git", "add", "-A")
    here.run(*GIT, "commit", "-qm", "A remote")
    here.run("git", "init", "-q", "--bare", "-b", "main", str(root / "origin.git"))
    here.run("git", "remote", "add", "origin", str(root / "origin.git"))
    here.run("git", "push", "-q", "-u", "origin", "main")
    here.headrace("deploy")
    there = Checkout(root / "there", root / "home-there", {**here.variables, "TRACE": str(root / "there.txt")})
    there.folder.mkdir()
    worker = there.start(str(BIN / "prefect"), "worker", "start", "--pool", "gpu", "--type", "process", "--name", "there")
    try:
        yield Site(here, root)
    finally:
        family = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGINT)
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
        for process in family:
            if process.is_running():
                process.kill()


def test_a_stage_of_a_pool_runs_there_and_its_result_is_here(site: Site) -> None:
    """What it reads is sent, also an edit that nobody has committed; what it makes comes back; its neighbours run here."""
    site.write("edited\n")

    done = site.here.headrace("run", "--json")

    assert site.worked("here") == ["first", "after"]
    assert site.worked("there") == ["heavy"]
    assert (site.here.folder / "out" / "after").read_text() == "one\nedited\n"
    assert set(site.here.lock()) == {"first", "heavy", "after"}
    assert '"heavy": "ran"' in done.stdout
    assert site.here.run("git", "ls-remote", "origin", "refs/headrace/*").stdout == ""  # the parcel is cleared away
    assert "up to date" in site.here.headrace("run").stdout


def test_a_forced_stage_runs_there_again(site: Site) -> None:
    """--force means the work, not a look into the run-cache."""
    site.write("edited\n")
    before = len(site.worked("there"))

    states = site.here.states("--stage", "heavy", "--force")

    assert states["heavy"] == "ran"
    assert len(site.worked("there")) == before + 1


def test_what_somebody_has_computed_is_restored_and_not_sent(site: Site) -> None:
    """A GPU is not started for a cache hit; another machine has its results in the remote only."""
    site.write("edited\n")
    assert set(site.here.states().values()) <= {"ran", "unchanged"}
    before = site.worked("there")
    other = Checkout(site.folder / "other", site.folder / "home-other", site.here.variables)
    other.folder.parent.mkdir(exist_ok=True)
    other.folder.mkdir()
    other.run("git", "clone", "-q", str(site.folder / "origin.git"), ".")
    (other.folder / "code.txt").write_text("edited\n")

    states = other.states("--stage", "heavy")

    assert states == {"first": "ran", "heavy": "restored"}
    assert site.worked("there") == before


@pytest.mark.fault
def test_a_failure_there_is_told_here_with_what_it_printed(site: Site) -> None:
    """The person at this terminal never logs in to the other machine."""
    site.write("broken\n")

    done = site.here.headrace("run", "-v", "--stage", "heavy", code=6)

    assert "stage heavy failed: on pool 'gpu'" in done.stderr
    assert "the end is near" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.fault
def test_a_stop_here_ends_the_stage_there(site: Site) -> None:
    """Else a GPU goes on working for nobody."""
    site.write("slow")
    before = len(site.worked("there"))
    run = site.here.start("headrace", "run", "-q", "--stage", "heavy")
    wait_until(lambda: len(site.worked("there")) > before, what="the stage at work there", timeout_s=120)

    run.send_signal(signal.SIGINT)

    assert run.wait(60) == 130
    wait_until(lambda: not _sleepers(site), what="the end of the stage there", timeout_s=60)


@pytest.mark.badinput
def test_a_pool_without_a_deployment_is_named(site: Site) -> None:
    """A slip of the pen in dvc.yaml, or a server that has not been told of it."""
    site.write("other\n")
    text = (site.here.folder / "dvc.yaml").read_text()
    (site.here.folder / "dvc.yaml").write_text(text.replace("pool: gpu", "pool: gpus"))

    done = site.here.headrace("run", "--stage", "heavy", code=6)

    (site.here.folder / "dvc.yaml").write_text(text)
    assert "no deployment stage/gpus" in done.stderr


def _sleepers(site: Site) -> list[psutil.Process]:
    """The stage `heavy` at work, on whatever machine."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline() == ["sleep", "600"] and process.environ().get("TRACE", "").startswith(str(site.folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found
