"""A disk that is full, out of file names or read-only under a checkout: told in a sentence, and nothing half is left."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.projects import Checkout, make_project

from headrace.project.doctor import examine
from headrace.settings import Settings
from headrace.storage.dvc_config import cache_folder

DAG = """stages:
  first: {cmd: "head -c 2000000 /dev/zero > out/first", outs: [out/first]}
  second: {cmd: "wc -c < out/first > out/second", deps: [out/first], outs: [out/second]}
"""


def make(folder: Path, home: Path, server: str) -> Checkout:
    """Two stages that have not run; the first writes two megabytes."""
    made = make_project(folder, home, {"dvc.yaml": DAG}, PREFECT_API_URL=server)
    made.headrace("setup")
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("a disk can be mounted by root only")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=30m,nr_inodes=300", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.fault
def test_a_stage_that_fills_the_disk_fails_and_the_next_run_goes_on(tmp_path: Path, prefect_server: str) -> None:
    """No process may write more than half a megabyte into a file, which needs no rights and fails in mid-write as a full disk does."""
    undisturbed = make(tmp_path / "undisturbed", tmp_path / "home-1", prefect_server)
    assert set(undisturbed.states().values()) == {"ran"}
    checkout = make(tmp_path / "full", tmp_path / "home-2", prefect_server)

    done = checkout.run("sh", "-c", "ulimit -f 1000; exec headrace run", code=6)

    assert "stage first failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout.folder / "dvc.lock").exists()
    assert not [path for path in cache_folder(checkout.folder).rglob("*") if path.is_file()]
    assert set(checkout.states().values()) == {"ran"}
    assert checkout.lock() == undisturbed.lock()


@pytest.mark.fault
def test_too_little_room_is_named_before_the_first_stage(small_disk: Path, tmp_path: Path, prefect_server: str) -> None:
    """A training's hours are lost to a full disk in their end; what the stages wrote the last time is known at the start."""
    checkout = make(small_disk / "project", tmp_path / "home", prefect_server)
    assert set(checkout.states().values()) == {"ran"}
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 1_500_000))
    dag = checkout.folder / "dvc.yaml"
    dag.write_text(dag.read_text().replace("2000000", "10"))  # which nobody can know beforehand: the run goes well

    done = checkout.headrace("run", "--json")

    told = rf"the stages that will run need about 2\.0 MB, and {re.escape(str(checkout.folder))} has 1\.[345] MB free"
    assert re.search(told, done.stderr)
    assert set(json.loads(done.stdout)["stages"].values()) == {"ran"}


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["read-only", "no names left"])
def test_a_checkout_that_cannot_be_written_is_told_before_work(
    fault: str, small_disk: Path, tmp_path: Path, prefect_server: str
) -> None:
    """By `run`, and by `doctor` when somebody asks first."""
    checkout = make(small_disk / "project", tmp_path / "home", prefect_server)
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    else:
        filled = subprocess.run(["sh", "-c", "touch $(seq 1000)"], cwd=small_disk, capture_output=True, text=True, check=False)
        assert "No space left" in filled.stderr

    done = checkout.headrace("run", code=2)

    assert f"{checkout.folder / '.headrace'} cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr
    looked = {check.name: check for check in examine(Settings(project=checkout.folder, home=checkout.home))}
    assert not looked["project folder"].is_ok
    assert looked["state folder"].is_ok
