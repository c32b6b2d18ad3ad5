"""What sending data costs: `headrace push` and `pull` beside DVC's own, and shards beside loose files.

    python benchmarks/transfer.py                               256 MB, three pairs; 50,000 images, the files given up after ten minutes
    python benchmarks/transfer.py --mb 0 --images 50000 --limit-s 1200                the images alone
    python benchmarks/transfer.py --mb 16 --images 2000 --sample 200 --pairs 1        of which 200 are sent as files, the rest is reckoned

Starts its own S3 server (OpenStack Swift, as `headrace up --object-store` does) on free ports, in a temporary folder. In each pair both
sides send the same data, in turn, each to an empty place. `dvc push` and `dvc pull` are timed as people type them: without the run-cache.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from headrace.dataset.shards import ShardWriter
from headrace.services import object_store
from headrace.services.credentials import ACCESS_KEY, REGION, Secrets, read_or_make
from headrace.services.operations import private_files
from headrace.services.ports import is_free
from headrace.services.service import end, start, wait_ready

BIN = Path(sys.prefix) / "bin"
BUCKET = "benchmark"
IMAGE = (32, 32, 3)
SHARD_MB = 64
_numbers = count(1)


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server of its own; the variables of a client."""
    with private_files():
        folder.mkdir()
        keys, environment = read_or_make(folder), _swift()
        port, home = _free_ports(), folder / object_store.NAME
        object_store.configure(home, keys, port)
        service = object_store.service(home, environment, port=port)
        started = start(service, folder)
    try:
        wait_ready(service, started, folder)
        object_store.ensure_bucket(service.url, BUCKET, keys)
        yield _client(service.url, keys)
    finally:
        end(folder, object_store.NAME, started, grace_s=0)


def _swift() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    environment = cache / "headrace" / "swift-environment"
    environment.parent.mkdir(parents=True, exist_ok=True)
    object_store.ensure_environment(environment)
    return environment


def _free_ports() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 65000 and all(is_free(each) for each in range(port, port + 4)):
            return port


def _client(url: str, keys: Secrets) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


class Site:
    """Where projects are made, and what their commands see."""

    def __init__(self, top: Path, variables: dict[str, str]) -> None:
        self.top = top
        self.environment = {
            **os.environ,
            **variables,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
        }

    def project(self, source: Path) -> Path:
        """A project whose one stage has made a copy of `source`, with a place of its own in the bucket and nothing sent yet."""
        folder = self.top / f"project-{next(_numbers)}"
        folder.mkdir()
        (folder / "params.yaml").write_text("{}\n")
        (folder / "dvc.yaml").write_text(
            f"stages:\n  make:\n    cmd: cp -r {source} data\n    deps: [params.yaml]\n    outs: [data]\n"
        )
        self.run(folder, "git", "init", "-q")
        self.run(folder, "dvc", "init", "-q")
        self.run(folder, "headrace", "setup")
        self.run(folder, "dvc", "repro", "-q")
        self.run(folder, "headrace", "remote", "add", f"s3://{BUCKET}/{folder.name}", "--shared")
        return folder

    def elsewhere(self, project: Path) -> Path:
        """The same project on a machine that has nothing but the bucket."""
        folder = self.top / f"project-{next(_numbers)}"
        shutil.copytree(project, folder, ignore=shutil.ignore_patterns("data", "tmp", ".headrace", "config.local"))
        self.run(folder, "headrace", "setup")
        return folder

    def run(self, folder: Path, *command: str, limit_s: float | None = None) -> float:
        """Wall seconds; `limit_s` when it was ended then."""
        began = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**self.environment, "HEADRACE_HOME": str(folder.with_name(f"{folder.name}-home"))},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired as over:
            return over.timeout
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        return seconds

    def remove(self, *projects: Path) -> None:
        """Free the disk."""
        for project in projects:
            shutil.rmtree(project)
            shutil.rmtree(project.with_name(f"{project.name}-home"), ignore_errors=True)


def write_shards(folder: Path, images: int) -> int:
    """A data set of random images, as the pipeline writes it; returns its bytes."""
    generator, left = np.random.default_rng(1), images
    kind = pa.fixed_shape_tensor(pa.uint8(), IMAGE)
    schema = pa.schema({"id": pa.string(), "image": kind, "label": pa.int64(), "split": pa.string()})
    record = {"payload": "image", "shape": list(IMAGE), "dtype": "uint8"}
    with ShardWriter(folder, schema, task="image_classification", classes=["a"], record=record) as writer:
        while left:
            rows = min(left, 5000)
            flat = pa.array(generator.integers(0, 256, rows * int(np.prod(IMAGE)), dtype=np.uint8))
            pixels = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, int(np.prod(IMAGE))))
            ids = [secrets.token_hex(16) for _ in range(rows)]
            columns = {"id": ids, "image": pixels, "label": np.zeros(rows, np.int64), "split": ["train"] * rows}
            writer.write(pa.table(columns, schema=schema))
            left -= rows
    return sum(path.stat().st_size for path in folder.iterdir())


def write_files(folder: Path, images: int) -> None:
    """As many loose files of the same pixels' size."""
    folder.mkdir()
    for number in range(images):
        (folder / f"{number:06d}.bin").write_bytes(os.urandom(int(np.prod(IMAGE))))


def write_blocks(folder: Path, megabytes: int) -> None:
    """Files of at most one shard's size that nothing can compress."""
    folder.mkdir()
    for number, begin in enumerate(range(0, megabytes, SHARD_MB)):
        (folder / f"part-{number:05d}").write_bytes(os.urandom(min(SHARD_MB, megabytes - begin) * 1_000_000))


def compare(title: str, pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
    """One row: medians, and the median ratio of the pairs with its spread."""
    own: list[float] = []
    other: list[float] = []
    for number in range(pairs):
        for side, seconds in ((ours, own), (theirs, other))[:: 1 if number % 2 else -1]:
            seconds.append(side())
    ratios = [mine / its for mine, its in zip(own, other, strict=True)]
    print(
        f"{title:<34} headrace {statistics.median(own):6.2f} s  dvc {statistics.median(other):6.2f} s  ratio "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=256, help="0: only the images")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--sample", type=int, help="images that are sent as files, the rest is reckoned; default: all are sent")
    parser.add_argument(
        "--limit-s", type=float, default=600.0, help="the push of the files is ended then, and took longer than that"
    )
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server ends too
    print(
        f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, server and client on one machine; "
        f"medians of {options.pairs} pairs"
    )
    with tempfile.TemporaryDirectory() as temporary, server(Path(temporary) / "store") as variables:
        top = Path(temporary)
        site = Site(top, variables)
        if options.mb:
            _large(site, top, options)
        if options.images:
            _shards(site, top, options)


def _large(site: Site, top: Path, options: argparse.Namespace) -> None:
    write_blocks(top / "blocks", options.mb)
    made: list[Path] = []

    def push(*command: str) -> float:
        made.append(site.project(top / "blocks"))
        return site.run(made[-1], *command)

    compare(f"push of {options.mb} MB", options.pairs, lambda: push("headrace", "push"), lambda: push("dvc", "push"))
    sent, *rest = made
    site.remove(*rest)
    site.run(sent, "headrace", "push")

    def pull(*command: str) -> float:
        there = site.elsewhere(sent)
        seconds = site.run(there, *command)
        site.remove(there)
        return seconds

    compare(f"pull of {options.mb} MB", options.pairs, lambda: pull("headrace", "pull"), lambda: pull("dvc", "pull"))
    for what in ("push", "pull"):
        compare(
            f"{what} with nothing to do",
            options.pairs,
            lambda what=what: site.run(sent, "headrace", what),  # type: ignore[misc]
            lambda what=what: site.run(sent, "dvc", what),  # type: ignore[misc]
        )
    site.remove(sent)


def _shards(site: Site, top: Path, options: argparse.Namespace) -> None:
    sample = min(options.sample or options.images, options.images)
    size = write_shards(top / "shards", options.images)
    write_files(top / "files", sample)
    as_shards, as_files = site.project(top / "shards"), site.project(top / "files")
    own, other = site.run(as_shards, "headrace", "push"), site.run(as_files, "dvc", "push", limit_s=options.limit_s)
    whole, more = other * options.images / sample, "more than " if other >= options.limit_s else ""
    reckoned = "" if sample == options.images else f" ({sample:,} took {more}{other:.0f} s)"
    print(
        f"push of {options.images:,} images ({size / 1e6:.0f} MB) as shards with headrace {own:.1f} s, as files with dvc "
        f"{more}{whole:.0f} s{reckoned}: {more}{whole / own:.0f} times as long"
    )


if __name__ == "__main__":
    main()
