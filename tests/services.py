"""Services for tests, started by the product's own code on free ports, with their data in a temporary folder."""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.errors import EngineError
from headrace.services import object_store, prefect_server
from headrace.services.asking import ask
from headrace.services.credentials import ACCESS_KEY, REGION, Secrets, read_or_make
from headrace.services.operations import private_files
from headrace.services.ports import is_free
from headrace.services.service import end, start, wait_ready
from headrace.services.state import Started
from tests.projects import wait_until

NO_INDEX = ("No matching distribution", "Could not fetch", "NewConnectionError", "Temporary failure", "Connection refused")
"""What pip says where there is no package index."""


def swift_environment() -> Path:
    """Where the tests keep the S3 server's environment: made once a machine, not once a run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "headrace" / "swift-environment"


def ensure_swift() -> Path:
    """The environment, made if it is missing; the test is skipped where there is no package index to make it from."""
    folder = swift_environment()
    try:
        object_store.ensure_environment(folder)
    except EngineError as error:
        if any(sign in str(error) for sign in NO_INDEX):
            pytest.skip(f"the S3 server needs a package index once: {error}")
        raise
    return folder


def free_port(width: int = 1) -> int:
    """The first of `width` ports in a row that nobody listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port + width < 65536 and all(is_free(each) for each in range(port, port + width)):
            return port


@dataclass
class PrefectServer:
    """A real Prefect server with a database of its own; a test may kill it and start it again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*prefect_server.command(self.port), "--no-ui"],
                env={**os.environ, "PREFECT_HOME": str(self.folder)},
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, what="the Prefect server's answer", timeout_s=180)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
        return ask(f"{self.api}/health", timeout_s=2)[0] == 200

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """It can write no byte to any file."""
        assert self.process is not None
        top = psutil.Process(self.process.pid)
        before = {each.pid: resource.prlimit(each.pid, resource.RLIMIT_FSIZE) for each in (top, *top.children(recursive=True))}
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            for pid, limits in before.items():
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

    def end(self, *, kill: bool = False) -> None:
        """End it; `kill` is what a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self.process.wait(60)
            self.process = None


@dataclass
class ObjectStore:
    """A real S3 server with keys of its own; a test may kill it and start it again."""

    folder: Path
    port: int
    environment: Path
    secrets: Secrets = field(init=False)
    started: Started | None = None
    _names: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        with private_files():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.secrets = read_or_make(self.folder)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access_key(self) -> str:
        return ACCESS_KEY

    @property
    def secret_key(self) -> str:
        return self.secrets.s3_secret_key

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str | None = None) -> str:
        """A bucket; without a name, one that no other test has."""
        bucket = name or f"test-{os.getpid()}-{next(self._names)}"
        object_store.ensure_bucket(self.endpoint, bucket, self.secrets)
        return bucket

    def client(self, **options: Any) -> Any:
        """A boto3 client with its keys."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=options.pop("access_key", self.access_key),
            aws_secret_access_key=options.pop("secret_key", self.secret_key),
            region_name=REGION,
            **options,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        with private_files():
            home = self.folder / object_store.NAME
            object_store.configure(home, self.secrets, self.port)
            service = object_store.service(home, self.environment, port=self.port)
            self.started = start(service, self.folder)
            wait_ready(service, self.started, self.folder)

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        if self.started is not None and self.started.process.is_alive():
            psutil.Process(self.started.process.pid).kill()
        end(self.folder, object_store.NAME, self.started, grace_s=0)
        self.started = None
