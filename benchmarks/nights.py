"""Scheduled runs that build on each other: a new object in the bucket every night, edits on main in between, a fresh clone each time.

    python benchmarks/nights.py                      thirty nights, an edit on main every third day
    python benchmarks/nights.py --nights 5

Each night is what a deployment's run does, by its commands: clone, `state begin`, `sources refresh`, `run`, `state carry`; with a real S3
server (OpenStack Swift, as `headrace up --object-store` has it), a real git remote and a running Prefect server. Counted are the objects
that were fetched, by the bytes the lock gained and by the machine's store of downloads, and merges that somebody had to make by hand.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overhead import BIN, REPOSITORY, server

from headrace.services import object_store
from headrace.services.credentials import ACCESS_KEY, REGION, read_or_make
from headrace.services.operations import private_files
from headrace.services.service import end, start, wait_ready
from headrace.storage.s3 import Bucket

BUCKET = "nights"
DAG = """stages:
  collect: {cmd: "mkdir -p out && cp data/sources.lock out/collected", deps: [data/sources.lock], outs: [out/collected]}
  report: {cmd: "cp out/collected out/report", deps: [out/collected, note.txt], outs: [out/report]}
"""
PARAMS = """collect:
  task: tabular
  format: csv
  sources: [{kind: s3, name: objects, bucket: nights, prefix: in/, endpoint: "ENDPOINT"}]
"""
GIT = ("git", "-c", "user.name=b", "-c", "user.email=b@example.invalid")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--edit-every", type=int, default=3, help="days between edits on main")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder, _bucket(Path(folder) / "store") as variables:
        place = Path(folder)
        environment = {
            **os.environ,
            **variables,
            "HEADRACE_HOME": str(place / "home"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        with server(place / "prefect", environment) as url:
            environment["PREFECT_API_URL"] = url
            _nights(place, environment, options.nights, options.edit_every)


def _nights(place: Path, environment: dict[str, str], nights: int, edit_every: int) -> None:
    person = _project(place, environment["AWS_ENDPOINT_URL_S3"], environment)
    bucket = _client(environment, person)
    fetched, seconds = 0, []
    for night in range(nights):
        bucket.put(f"in/{night:03}.csv", f"night,{night}\n".encode())
        started = time.perf_counter()
        clone = place / "clone"
        shutil.rmtree(clone, ignore_errors=True)
        _do(["git", "clone", "-q", "--depth", "1", (place / "remote.git").as_uri(), str(clone)], place, environment)
        for command in (["setup"], ["state", "begin"]):
            _do([str(BIN / "headrace"), *command], clone, environment)
        changes = json.loads(_do([str(BIN / "headrace"), "sources", "refresh", "--json"], clone, environment))
        fetched += len(changes)
        for command in (["run", "-q"], ["state", "carry"]):
            _do([str(BIN / "headrace"), *command], clone, environment)
        seconds.append(time.perf_counter() - started)
        if night % edit_every == 0:
            (person / "note.txt").write_text(f"{night}\n")
            _do([*GIT, "commit", "-q", "-a", "-m", f"Day {night}"], person, environment)
            _do([*GIT, "push", "-q", "origin", "HEAD:main"], person, environment)
    remote = place / "remote.git"
    lock = json.loads(_do(["git", "show", "headrace/state:data/sources.lock"], remote, environment))
    log = _do(["git", "log", "--first-parent", "--format=%s", "headrace/state"], remote, environment).splitlines()
    merges = sum(line.startswith("Merge main") for line in log)
    stored = sum(1 for path in (place / "home" / "downloads").rglob("*") if path.is_file() and path.stat().st_size < 100)
    print(f"{nights} nights, {statistics.median(seconds):.1f} s each (median)")
    print(
        f"{fetched} objects fetched, {stored} in the store of downloads, {len(lock['sources'][0]['files'])} in data/sources.lock"
    )
    print(f"{merges} merges of main by themselves, 0 by hand: every command ended well")


def _project(place: Path, endpoint: str, environment: dict[str, str]) -> Path:
    folder = place / "person"
    (folder / "out").mkdir(parents=True)
    for name, text in {
        "dvc.yaml": DAG, "params.yaml": PARAMS.replace("ENDPOINT", endpoint), "note.txt": "-\n",
        ".gitignore": "/out/\n/.headrace/\n/data/*\n!/data/sources.lock\n__pycache__/\n",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    shutil.copytree(REPOSITORY / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    remote = str(place / "remote.git")
    for command in (
        ["git", "init", "-q", "--bare", "-b", "main", remote],
        ["git", "init", "-q", "-b", "main"],
        [str(BIN / "dvc"), "init", "-q"],
        ["git", "add", "-A"],
        [*GIT, "commit", "-q", "-m", "First"],
        ["git", "remote", "add", "origin", remote],
        ["git", "push", "-q", "origin", "main"],
    ):
        _do(command, folder, environment)
    return folder


def _do(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def _client(environment: dict[str, str], project: Path) -> Bucket:
    from headrace.settings import Settings
    from headrace.variables import set_variable

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        set_variable(name, environment[name])
    return Bucket(Settings(project=project), BUCKET, endpoint=environment["AWS_ENDPOINT_URL_S3"])


@contextmanager
def _bucket(folder: Path) -> Iterator[dict[str, str]]:
    """A real S3 server with an empty bucket; the variables of its clients."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "headrace" / "swift-environment"
    object_store.ensure_environment(cache)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with private_files():
        folder.mkdir()
        secrets = read_or_make(folder)
        home = folder / object_store.NAME
        object_store.configure(home, secrets, port)
        service = object_store.service(home, cache, port=port)
        started = start(service, folder)
        wait_ready(service, started, folder)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        object_store.ensure_bucket(endpoint, BUCKET, secrets)
        yield {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }
    finally:
        end(folder, object_store.NAME, started, grace_s=0)


if __name__ == "__main__":
    main()
