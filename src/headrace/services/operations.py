"""`headrace up`, `down` and `ps`: bring up what is not up, end what was started, say what is there."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.errors import ConfigError
from headrace.services import mlflow_server, ports, state
from headrace.services.credentials import FILE, is_open, read_or_make
from headrace.services.healing import Healing, Say
from headrace.services.inventory import ORDER, describe, wanted
from headrace.services.service import end
from headrace.services.state import State
from headrace.settings import Settings


@dataclass(frozen=True)
class Row:
    """One service, as `headrace ps` shows it."""

    name: str
    state: str
    """up, silent (its process lives and does not answer) or down."""
    pid: int | None
    port: int | None
    url: str
    since: str


def up(settings: Settings, *, with_object_store: bool | None = None, say: Say) -> list[str]:
    """Bring up every service that is not up; what lives and answers is left alone.

    Args:
        settings: of the project.
        with_object_store: whether the local S3 server is one of them; None: as the last time.
        say: takes a line about what is being done.

    Returns:
        Names of the services that were started; empty when all were up.

    Raises:
        ConfigError: a port is in use, a setting is wrong, or the state folder cannot be written.
        EngineError: a service did not come up.
    """
    folder = settings.services_folder
    with private_files(), state.writable(folder), _alone(folder, say):
        known = state.read(folder)
        if is_open(folder):
            say(
                f"  {FILE} could be read by other users of this machine; it is closed now. For new passwords, remove it and run headrace up"
            )
        secret = read_or_make(folder)
        if known.passwords not in ("", secret.digest) and known.processes:
            say(f"  the passwords in {FILE} are new: all services are started again with them")
            for name in reversed(ORDER):
                end(folder, name, known.processes.get(name))
            known = replace(known, processes={})
        known = replace(known, passwords=secret.digest)
        known = _decide(settings, known, with_object_store=with_object_store)
        state.write(folder, known)
        healing = Healing(settings, secret, known, say)
        healing.heal()
        return healing.begun


def down(settings: Settings, *, say: Say) -> list[str]:
    """End what `up` started, with everything that it started in turn. Returns the names of the services that were running."""
    folder = settings.services_folder
    if not folder.is_dir():
        return []
    with private_files(), state.writable(folder), _alone(folder, say):
        known = state.read(folder)
        # First of all: a client that starts now must not find servers that are about to end.
        known = replace(known, in_use=False)
        state.write(folder, known)
        ended = []
        for name in reversed(ORDER):
            if end(folder, name, known.processes.get(name)):
                ended.append(name)
                say(f"  {name} ended")
            known = known.with_process(name, None)
            state.write(folder, known)
        return ended


def rows(settings: Settings) -> list[Row]:
    """The services of this project; empty when it never had any."""
    folder = settings.services_folder
    known = state.read(folder)
    if not known.ports.keys() >= {name for name in wanted(known) if name in ports.WIDTH}:
        return []
    secret = read_or_make(folder)
    found = []
    for name in wanted(known):
        started = known.processes.get(name)
        alive = started is not None and started.process.is_alive()
        service = describe(settings, name, known, secret)
        found.append(
            Row(
                name=name,
                state=("up" if service.is_ready() else "silent") if alive else "down",
                pid=started.process.pid if alive and started else None,
                port=service.port,
                url=service.url,
                since=started.since if alive and started else "",
            )
        )
    return found


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What is written inside can be read by its owner only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _decide(settings: Settings, known: State, *, with_object_store: bool | None) -> State:
    """Which services there are, and where artifacts go."""
    store = known.object_store if with_object_store is None else with_object_store
    if known.object_store and not store and known.artifacts == f"s3://{mlflow_server.BUCKET}" and not settings.mlflow_artifacts:
        raise ConfigError(
            "MLflow's artifacts are in the local S3 server: without it they cannot be read. Leave --no-object-store out, or name another "
            "place in HEADRACE_MLFLOW_ARTIFACTS."
        )
    return replace(known, object_store=store, artifacts=mlflow_server.artifacts(settings, known.artifacts, object_store=store))


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    with (folder / "lock").open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `headrace up` or `down` to finish")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
