"""What orchestration costs: eight empty stages through the flow, with nothing to do, and the memory it takes.

    python benchmarks/overhead.py                    five pairs of each, on a running Prefect server and on the temporary one
    python benchmarks/overhead.py --pairs 3 --no-temporary

Each row compares with what people do without Headrace, in turn (A B A B), on this machine in this minute: `dvc repro`, or a Prefect
task per stage that calls `dvc repro -s` (../shared/peers/naive_flow.py; without it only our side is timed).
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
NAIVE = REPOSITORY.parent / "shared" / "peers" / "naive_flow.py"
BIN = Path(sys.prefix) / "bin"
PARENTS = {
    "collect": [],
    "validate": ["collect"],
    "split": ["validate"],
    "augment": ["split"],
    "baseline": ["split"],
    "train": ["augment"],
    "evaluate": ["train", "baseline"],
    "package": ["evaluate"],
}


def make_project(folder: Path, graph: dict[str, list[str]] = PARENTS, *, before: str = "") -> Path:
    """A git and DVC repository with stages that only write the present round, after the command `before`."""
    stages = []
    for name, parents in graph.items():
        deps = ", ".join(["round.txt"] if not parents else [f"out/{parent}" for parent in parents])
        stages.append(f"  {name}:\n    cmd: {before}cat round.txt > out/{name}\n    deps: [{deps}]\n    outs: [out/{name}]\n")
    folder.mkdir()
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(stages))
    (folder / "params.yaml").write_text("{}\n")
    (folder / "round.txt").write_text("0\n")
    (folder / ".gitignore").write_text("/out/\n/.headrace/\n")
    (folder / "out").mkdir()
    shutil.copytree(REPOSITORY / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    identity = ["-c", "user.name=b", "-c", "user.email=b@example.invalid"]
    for command in (
        ["git", "init", "-q"],
        [str(BIN / "dvc"), "init", "-q"],
        ["git", "add", "-A"],
        ["git", *identity, "commit", "-qm", "x"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return folder


class Side:
    """One way to run the same DAG: a command in a project of its own."""

    def __init__(self, label: str, project: Path, command: list[str], environment: dict[str, str]) -> None:
        self.label, self.project, self.command, self.environment = label, project, command, environment
        self.round = 0

    def change(self) -> None:
        """Make every stage stale."""
        self.round += 1
        (self.project / "round.txt").write_text(f"{self.round} {self.label}\n")

    def run(self) -> tuple[float, float]:
        """Wall seconds, and the largest memory of the process tree in MB (proportional set size)."""
        started = time.perf_counter()
        process = subprocess.Popen(
            self.command, cwd=self.project, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
        watcher.start()
        _, errors = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(self.command)} ended with {process.returncode}:\n{errors[-2000:]}")
        return seconds, peak[0]


def _watch(pid: int, peak: list[float]) -> None:
    while psutil.pid_exists(pid):
        try:
            top = psutil.Process(pid)
            total = 0.0
            for process in [top, *top.children(recursive=True)]:
                if not any(
                    "uvicorn" in part or "prefect.server" in part for part in process.cmdline()
                ):  # a server is no orchestration
                    total += process.memory_full_info().pss / 1e6
            peak[0] = max(peak[0], total)
        except psutil.Error:
            pass
        time.sleep(0.05)


@contextmanager
def server(home: Path, environment: dict[str, str]) -> Iterator[str]:
    """A Prefect server on a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    process = subprocess.Popen(
        [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"],
        env={**environment, "PREFECT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)  # noqa: S310  # our own server
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def compare(title: str, ours: Side, theirs: Side | None, pairs: int, prepare: Callable[[Side], None]) -> None:
    """One row of the table: medians, and the median ratio of the pairs with its spread."""
    sides = [side for side in (ours, theirs) if side is not None]
    for side in sides:  # warm-up: database, compiled files
        prepare(side)
        side.run()
    seconds: dict[str, list[float]] = {side.label: [] for side in sides}
    memory: dict[str, list[float]] = {side.label: [] for side in sides}
    for _ in range(pairs):
        for side in sides:
            prepare(side)
            took, peak = side.run()
            seconds[side.label].append(took)
            memory[side.label].append(peak)
    cells = [f"{title:<44}"]
    cells += [f"{side.label} {statistics.median(seconds[side.label]):6.2f} s {max(memory[side.label]):5.0f} MB" for side in sides]
    if theirs is not None:
        ratios = [other / own for own, other in zip(seconds[ours.label], seconds[theirs.label], strict=True)]
        cells.append(f"{statistics.median(ratios):5.2f}x faster ({min(ratios):.2f} to {max(ratios):.2f})")
    print("  ".join(cells), flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--no-temporary", action="store_true", help="leave out Prefect's temporary server")
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}; medians of {options.pairs} pairs"
    )
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HEADRACE_HOME": str(top / "home"),
            "PREFECT_HOME": str(top / "home" / "prefect"),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
        }
        environment.pop("PREFECT_API_URL", None)
        own, naive, plain = (make_project(top / name) for name in ("own", "naive", "plain"))
        subprocess.run([BIN / "headrace", "setup"], cwd=own, env=environment, check=True, stdout=subprocess.DEVNULL)

        def nothing(side: Side) -> None:
            del side

        with server(top / "server", environment) as url:
            served = {**environment, "PREFECT_API_URL": url}
            ours = Side("headrace run", own, [str(BIN / "headrace"), "run", "-q"], served)
            theirs = Side("naive flow", naive, [sys.executable, str(NAIVE)], served) if NAIVE.exists() else None
            compare("8 empty stages, running server", ours, theirs, options.pairs, Side.change)
            flow = Side("flow run", own, [sys.executable, "pipelines/train.py"], served)
            compare("nothing to do, as a flow run, running server", flow, theirs, options.pairs, nothing)
        bare = Side("headrace run", own, [str(BIN / "headrace"), "run", "-q"], environment)
        repro = Side("dvc repro", plain, [str(BIN / "dvc"), "repro", "-q"], environment)
        compare("nothing to do, no server", bare, repro, options.pairs, nothing)
        if not options.no_temporary:
            theirs = Side("naive flow", naive, [sys.executable, str(NAIVE)], environment) if NAIVE.exists() else None
            compare("8 empty stages, temporary server", bare, theirs, max(2, options.pairs // 2), Side.change)


if __name__ == "__main__":
    main()
