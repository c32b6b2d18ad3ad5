"""A project with the services of `headrace up`, used as a person would: by commands."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from headrace.services.asking import NO_ANSWER, ask
from headrace.services.credentials import FILE, USER, Secrets, read_or_make
from headrace.services.inventory import ORDER
from headrace.services.service import survivors
from tests.projects import BIN, wait_until
from tests.services import free_port

UP_LIMIT_S = 400


@dataclass
class Site:
    """A project with services."""

    project: Path
    home: Path
    variables: dict[str, str]

    @property
    def services(self) -> Path:
        return self.home / "services"

    @property
    def environment(self) -> dict[str, str]:
        outside = ("MLFLOW_", "PREFECT_API", "AWS_ACCESS", "AWS_SECRET", "AWS_ENDPOINT", "HEADRACE_SERVICE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
        return {**kept, "HEADRACE_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self.variables}

    @property
    def client_environment(self) -> dict[str, str]:
        """What `set -a; . credentials.env` gives a shell."""
        lines = (self.services / FILE).read_text().splitlines()
        return {**self.environment, **dict(line.split("=", 1) for line in lines if not line.startswith("#"))}

    @property
    def secrets(self) -> Secrets:
        return read_or_make(self.services)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / "headrace", "-C", str(self.project), *arguments],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def headrace(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        try:
            said, _ = process.communicate(timeout=UP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == code, said
        return said

    def up(self) -> None:
        """Start what does not run."""
        self.headrace("up", "--detach", "--object-store")

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.headrace("ps", "--json"))}

    def pids(self) -> dict[str, int]:
        return {name: row["pid"] for name, row in self.rows().items()}

    def all_processes(self) -> list[int]:
        return [identity.pid for name in ORDER for identity in survivors(self.services, name)]

    def command_lines(self) -> list[str]:
        return [" ".join(psutil.Process(pid).cmdline()) for pid in self.all_processes()]

    def prefect(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        """What the Prefect server answers; a busy one is asked again."""
        url, login = self.client_environment["PREFECT_API_URL"], (USER, self.secrets.prefect_password)

        def answered() -> bytes | None:
            status, answer = ask(f"{url}/{path}", login=login, method=method, json_body=body, timeout_s=60)
            assert status in (NO_ANSWER, 503) or 200 <= status < 300, answer
            return (answer or b"null") if 200 <= status < 300 else None

        return json.loads(wait_until(answered, what=f"an answer to {path}", timeout_s=UP_LIMIT_S))


def make_site(folder: Path, **variables: str) -> Site:
    """An empty project with ports of its own; nothing is up yet."""
    (folder / "project").mkdir()
    ports = {
        f"HEADRACE_{name}_PORT": str(free_port(width)) for name, width in (("MLFLOW", 1), ("PREFECT", 1), ("OBJECT_STORE", 4))
    }
    return Site(folder / "project", folder / "home", {**ports, **variables})


@contextmanager
def ended(site: Site) -> Iterator[None]:
    """Down at the end, and nothing left."""
    try:
        yield
    finally:
        site.headrace("down")
        assert site.all_processes() == []
