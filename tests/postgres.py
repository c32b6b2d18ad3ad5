"""A real PostgreSQL on 127.0.0.1, as an ordinary user, with its data in a temporary folder."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.projects import wait_until
from tests.services import free_port

START_LIMIT_S = 90
DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path:
    """Folder with initdb and postgres; the test is skipped where there is none."""
    found = [path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: no initdb (on Debian: apt-get install postgresql)")
    return Path(initdb).parent


@dataclass
class Postgres:
    """A server of this test run. Its user may do anything; `reader` may only read."""

    folder: Path
    port: int
    programs: Path
    owner: str | None
    """System user that runs it, where the tests are root's: PostgreSQL refuses root."""
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    process: subprocess.Popen[bytes] | None = None
    _names: Any = field(default_factory=lambda: count(1))

    def make_database(self) -> str:
        """An empty database that no other test has."""
        name = f"test_{next(self._names)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return name

    def url(self, database: str, *, password: bool = False) -> str:
        """As params.yaml has it, or with the password."""
        secret = f":{self.password}" if password else ""
        return f"postgresql://headrace{secret}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with psycopg.connect(self.url(database, password=True), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def make(self) -> None:
        """Create its folder of data."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o600)
        if self.owner is not None:
            account = pwd.getpwnam(self.owner)
            for path in (self.folder, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
        options = [
            "--username",
            "headrace",
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(secret),
            "--no-sync",
            "--encoding",
            "UTF8",
        ]
        done = subprocess.run(
            [self.programs / "initdb", "--pgdata", str(self.folder / "data"), "--locale", "C.UTF-8", *options],
            capture_output=True, text=True, check=False, cwd=self.folder, **self._user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": 40,
        }
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", str(self.folder / "data"), *arguments],
                stdout=log, stderr=log, cwd=self.folder, **self._user,
            )  # fmt: skip
        wait_until(self._answers, what="PostgreSQL's answer", timeout_s=START_LIMIT_S)

    def stop(self) -> None:
        """End it, and with it what is connected."""
        if self.process is not None:
            self.process.send_signal(2)  # its fast shutdown
            self.process.wait(60)
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            with psycopg.connect(self.url("postgres", password=True), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    @property
    def _user(self) -> dict[str, Any]:
        return {} if self.owner is None else {"user": self.owner, "group": pwd.getpwnam(self.owner).pw_gid, "extra_groups": []}


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Make and start one; end it and remove its folder afterwards."""
    # Not below pytest's own folder: only its owner may enter that, and PostgreSQL must not be root.
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    owner = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        owner = "postgres" if "postgres" in names else "nobody"
    server = Postgres(folder, free_port(), programs(), owner)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
