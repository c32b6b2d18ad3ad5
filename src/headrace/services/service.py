"""A server as data, and its process: started in a session of its own, found again, ended with everything it started."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from headrace.errors import EngineError
from headrace.processes import ProcessId
from headrace.services.ports import is_listening, listener
from headrace.services.state import Started
from headrace.variables import child_environment

MARK = "HEADRACE_SERVICE"
"""Variable by which a service's processes are known after the one that started them has been killed."""
NOT_INHERITED = ("MLFLOW_", "PREFECT_", "AWS_", "HEADRACE_PREFECT_RUN", MARK)
"""A client's variables would make a server a client of itself."""
MAX_LOG_BYTES = 10_000_000
END_GRACE_S = 8.0
TAIL_LINES = 8


@dataclass(frozen=True)
class Service:
    """What has to run, how it is seen to be ready, and what a person needs to know of it."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    url: str = ""
    port: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherits: tuple[str, ...] = ()
    """Prefixes out of `NOT_INHERITED` that it takes from the environment after all."""
    start_limit_s: float = 180.0


def start(service: Service, folder: Path) -> Started:
    """Start a service in the background; its output goes to `logs/<name>.log`."""
    home = folder / service.name
    home.mkdir(parents=True, exist_ok=True)
    path = log_path(folder, service.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    dropped = tuple(prefix for prefix in NOT_INHERITED if prefix not in service.inherits)
    environment = child_environment(without=dropped) | dict(service.variables) | {MARK: _mark(folder, service.name)}
    with path.open("ab") as log:
        log.write(f"--- {service.name} starts, {_now()}\n".encode())
        log.flush()
        process = subprocess.Popen(
            service.command,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
        )
    identity = ProcessId.of(process.pid)
    # It outlives this process; as long as both live, its end is taken notice of, or it would stay a zombie.
    threading.Thread(target=process.wait, name=f"wait-{service.name}", daemon=True).start()
    if identity is None:
        raise EngineError(f"{service.name} ended at once.\n{tail(folder, service.name)}")
    return Started(identity, _now())


def wait_ready(service: Service, started: Started, folder: Path) -> None:
    """Return once the service answers, and not another server on its port.

    Raises:
        EngineError: it ended, or did not answer in time; the message has the last lines of its log.
    """
    deadline = time.monotonic() + service.start_limit_s
    while not (service.is_ready() and _listens(service, started)):
        if not started.process.is_alive():
            other = "" if service.port is None else listener(service.port)
            reason = f": port {service.port} was taken meanwhile{other}" if other else ""
            raise EngineError(f"{service.name} ended while it started{reason}.\n{tail(folder, service.name)}")
        if time.monotonic() > deadline:
            raise EngineError(
                f"{service.name} does not answer after {service.start_limit_s:g} s; it is left running.\n{tail(folder, service.name)}"
            )
        time.sleep(0.1)


def _listens(service: Service, started: Started) -> bool:
    """Whether the port is the started process's own: of two that start at once, the loser would take the winner's answer for its own."""
    if service.port is None:
        return True
    with contextlib.suppress(psutil.Error, OSError):
        top = psutil.Process(started.process.pid)
        return any(is_listening(process, service.port) for process in (top, *top.children(recursive=True)))
    return False


def survivors(folder: Path, name: str) -> list[ProcessId]:
    """Every live process that carries the mark of a service: the service, what it started, and what outlived it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == _mark(folder, name) and (identity := ProcessId.of(process.pid)):
                found.append(identity)
    return [identity for identity in found if identity.is_alive()]


def end(folder: Path, name: str, started: Started | None, *, grace_s: float = END_GRACE_S) -> int:
    """End a service with everything it started, politely first; returns how many processes that were."""
    meant = set(survivors(folder, name))
    if started is not None and started.process.is_alive():
        meant.add(started.process)
        with contextlib.suppress(psutil.Error):
            below = [ProcessId.of(child.pid) for child in psutil.Process(started.process.pid).children(recursive=True)]
            meant.update(identity for identity in below if identity is not None)
        _signal(started.process, psutil.Process.terminate)
        _wait_end(meant, grace_s)
    for identity in meant:
        _signal(identity, psutil.Process.kill)
    _wait_end(meant, END_GRACE_S)
    return len(meant)


def log_path(folder: Path, name: str) -> Path:
    """Where a service's output is."""
    return folder / "logs" / f"{name}.log"


def tail(folder: Path, name: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a service's log, indented, with the path."""
    path = log_path(folder, name)
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 20_000))
            last = log.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        last = []
    return "\n".join([*(f"  {line[:300]}" for line in last), f"  log: {path}"])


def _signal(identity: ProcessId, send: Callable[[psutil.Process], None]) -> None:
    if identity.is_alive():
        with contextlib.suppress(psutil.Error):
            send(psutil.Process(identity.pid))


def _wait_end(meant: set[ProcessId], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while any(identity.is_alive() for identity in meant) and time.monotonic() < deadline:
        time.sleep(0.05)


def _mark(folder: Path, name: str) -> str:
    return f"{name}@{folder}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
