"""Real checkouts for tests that run the pipeline: clones of this repository, and the processes that work in them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from headrace.params import read_yaml

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.prefix) / "bin"
GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.invalid", "-c", "commit.gpgsign=false")


@dataclass
class Checkout:
    """One clone with the state folder it shares with others."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every command in it."""
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "HEADRACE_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self.variables}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command; its output goes to a file beside the clone."""
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    def headrace(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a headrace command."""
        return self.run("headrace", *arguments, code=code)

    def states(self, *arguments: str) -> dict[str, str]:
        """Run the pipeline and tell how each stage and step ended."""
        return dict(json.loads(self.headrace("run", "--json", *arguments).stdout)["stages"])

    def lock(self) -> dict[str, Any]:
        """The entries of dvc.lock; their order is that in which stages ended."""
        return dict(read_yaml(self.folder / "dvc.lock")["stages"])

    def report(self, stage: str) -> dict[str, Any]:
        """What a stage, or a step after the DAG, reported."""
        return dict(json.loads((self.folder / "reports" / f"{stage}.json").read_text(encoding="utf-8")))

    def set_param(self, section: str, **values: Any) -> None:
        """Change values of params.yaml, keeping the rest."""
        change_yaml(self.folder / "params.yaml", {section: values})

    def worker(self, stage: str) -> int | None:
        """Pid of the process that works on a stage now."""
        path = self.folder / ".headrace" / "working" / f"{stage}.json"
        try:
            pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
        except (OSError, ValueError):
            return None
        return pid if is_alive(pid) else None

    def processes(self) -> list[psutil.Process]:
        """Live processes that work in this checkout."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()) == self.folder and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def change_yaml(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
    """Set keys of sections of a YAML file, keeping the rest."""
    from ruamel.yaml import YAML

    yaml = YAML()  # ruamel's round trip: it keeps comments, builds plain values and runs no tag
    loaded = yaml.load(path.read_text(encoding="utf-8"))
    for section, values in sections.items():
        for key, value in values.items():
            loaded[section][key] = value
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(loaded, file)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for init to take notice does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def make_origin(folder: Path) -> Path:
    """A git repository with the working tree of this one: what is tracked, and what is new and not ignored."""
    return _commit_copy(REPOSITORY, folder)


def make_example(name: str, top: Path, **variables: str) -> Checkout:
    """A folder of examples/ as a repository of its own; `headrace setup` is left to who wants to run it."""
    return Checkout(_commit_copy(REPOSITORY / "examples" / name, top / "project"), top / "home", variables)


def _commit_copy(folder: Path, target: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=folder, check=True, capture_output=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (folder / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, target / name)
    # The tests make their own: what is there may be of an older working tree.
    (target / "dvc.lock").unlink(missing_ok=True)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "State of the working tree"]):
        subprocess.run([*GIT, *arguments], cwd=target, check=True)
    return target


def clone(origin: Path, folder: Path, home: Path, **variables: str) -> Checkout:
    """A fresh clone, set up."""
    subprocess.run(["git", "clone", "-q", str(origin), str(folder)], check=True)
    checkout = Checkout(folder, home, variables)
    checkout.headrace("setup")
    return checkout


def make_project(folder: Path, home: Path, files: Mapping[str, str], **variables: str) -> Checkout:
    """A committed project of these files and our flows; its stages may write into `out/`."""
    plain = {"params.yaml": "{}\n", ".gitignore": "/out/*\n!/out/.keep\n/.headrace/\n__pycache__/\n", "out/.keep": ""}
    for name, text in (plain | dict(files)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(REPOSITORY / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    checkout = Checkout(folder, home, variables)
    for command in (["git", "init", "-q", "-b", "main"], ["dvc", "init", "-q"], ["git", "add", "-A"]):
        checkout.run(*command)
    checkout.run(*GIT, "commit", "-q", "-m", "A project")
    return checkout


def wait_until(condition: Callable[[], Any], *, what: str, timeout_s: float = 60.0) -> Any:
    """The first true value of `condition`, looked at often."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")
