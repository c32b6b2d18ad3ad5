"""`headrace up`, `down` and `ps`: bring up what is not up, end what was started, say what is there."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.errors import ConfigError, EngineError
from headrace.services import mlflow_server, object_store, ports, prefect_server, state
from headrace.services.credentials import Secrets, read_or_make
from headrace.services.credentials import write as write_credentials
from headrace.services.service import Service, end, start, wait_ready
from headrace.services.state import State
from headrace.settings import Settings

ORDER = (object_store.NAME, mlflow_server.NAME, prefect_server.NAME, prefect_server.WORKER)
"""Each needs at most the ones before it; they are ended the other way round."""
ANSWER_LIMIT_S = 20.0

Say = Callable[[str], None]


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
        secret = read_or_make(folder)
        known = _decide(settings, known, with_object_store=with_object_store)
        state.write(folder, known)
        healing = _Healing(settings, secret, known, say)
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
    if not known.ports.keys() >= {name for name in _wanted(known) if name in ports.WIDTH}:
        return []
    secret = read_or_make(folder)
    found = []
    for name in _wanted(known):
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


def describe(settings: Settings, name: str, known: State, secret: Secrets) -> Service:
    """A service of this project as data."""
    folder = settings.services_folder
    if name == object_store.NAME:
        return object_store.service(folder / name, object_store.environment_folder(settings), port=known.ports[name])
    if name == mlflow_server.NAME:
        own_bucket = known.object_store and not settings.mlflow_artifacts
        store_url = url_of(known, object_store.NAME) if own_bucket else None
        return mlflow_server.service(settings, secret, port=known.ports[name], destination=known.artifacts, store_url=store_url)
    if name == prefect_server.NAME:
        return prefect_server.server(settings, secret, port=known.ports[name])
    return prefect_server.worker(settings, secret, clients=_client_variables(known, secret))


def url_of(known: State, name: str) -> str:
    """Where a service listens."""
    return f"http://127.0.0.1:{known.ports[name]}"


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What is written inside can be read by its owner only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


class _Healing:
    """One pass over the services."""

    def __init__(self, settings: Settings, secret: Secrets, known: State, say: Say) -> None:
        self.settings = settings
        self.secret = secret
        self.known = known
        self.say = say
        self.folder = settings.services_folder
        self.begun: list[str] = []

    def heal(self) -> None:
        down_now = [name for name in _wanted(self.known) if not self._is_up(name)]
        self._choose_ports(down_now)
        if object_store.NAME in down_now:
            self._start_object_store()
        if self.known.object_store and self.known.artifacts.startswith("s3://") and not self.settings.mlflow_artifacts:
            bucket = self.known.artifacts.removeprefix("s3://").partition("/")[0]
            object_store.ensure_bucket(url_of(self.known, object_store.NAME), bucket, self.secret)
        if mlflow_server.NAME in down_now:
            self.say("  mlflow: preparing its database")
            mlflow_server.prepare(self.settings, self.secret)
            self._start(mlflow_server.NAME)  # it imports for seconds: the next one may do so meanwhile
        if prefect_server.NAME in down_now:
            self.say("  prefect: preparing its database")
            prefect_server.prepare(self.settings)
            self._start(prefect_server.NAME)
        for name in (mlflow_server.NAME, prefect_server.NAME):
            if name in down_now:
                self._wait(name)
        if not self.known.in_use:
            self._remember(replace(self.known, in_use=True))
        write_credentials(self.folder, self.secret, _urls(self.known))
        if prefect_server.WORKER in down_now:
            self._start(prefect_server.WORKER)
            self._wait(prefect_server.WORKER)

    def _is_up(self, name: str) -> bool:
        started = self.known.processes.get(name)
        if started is None or not started.process.is_alive():
            return False
        service = self._service(name)
        if service.is_ready():
            return True
        self.say(f"  {name} lives (process {started.process.pid}) and does not answer; waiting {ANSWER_LIMIT_S:g} s")
        try:
            wait_ready(replace(service, start_limit_s=ANSWER_LIMIT_S), started, self.folder)
        except EngineError:
            self.say(f"  {name} does not answer: it is ended and started again")
            end(self.folder, name, started)
            return False
        return True

    def _choose_ports(self, names: list[str]) -> None:
        """Of all services that are to start, before any starts: a taken port is told at once."""
        asked = {
            mlflow_server.NAME: self.settings.mlflow_port,
            prefect_server.NAME: self.settings.prefect_port,
            object_store.NAME: self.settings.object_store_port,
        }
        chosen = dict(self.known.ports)
        for name, wanted in asked.items():
            if name not in names:
                if wanted not in (None, chosen.get(name)):
                    self.say(f"  {name} runs on port {chosen[name]}; {ports.SETTING[name]}={wanted} counts after `headrace down`")
                continue
            ended = end(self.folder, name, self.known.processes.get(name))  # what outlived a kill holds the port
            if ended:
                self.say(f"  {name}: {ended} process{'es' if ended > 1 else ''} of a killed one ended")
            taken = {each for other, port in chosen.items() if other != name for each in range(port, port + ports.WIDTH[other])}
            chosen[name] = ports.choose(name, wanted=wanted, remembered=chosen.get(name), taken=taken)
        self._remember(replace(self.known, ports=chosen))

    def _start_object_store(self) -> None:
        environment = object_store.environment_folder(self.settings)
        self.say("  object-store: OpenStack Swift, in an environment of its own")
        if object_store.ensure_environment(environment):
            self.say(f"  object-store: installed once, in {environment}")
        object_store.configure(self.folder / object_store.NAME, self.secret, self.known.ports[object_store.NAME])
        self._start(object_store.NAME)
        self._wait(object_store.NAME)

    def _service(self, name: str) -> Service:
        return describe(self.settings, name, self.known, self.secret)

    def _start(self, name: str) -> None:
        started = start(self._service(name), self.folder)
        self._remember(self.known.with_process(name, started))
        self.begun.append(name)

    def _wait(self, name: str) -> None:
        wait_ready(self._service(name), self.known.processes[name], self.folder)
        self.say(f"  {name} is up")

    def _remember(self, known: State) -> None:
        self.known = known
        state.write(self.folder, known)


def _decide(settings: Settings, known: State, *, with_object_store: bool | None) -> State:
    """Which services there are, and where artifacts go."""
    wanted = known.object_store if with_object_store is None else with_object_store
    if known.object_store and not wanted and known.artifacts == f"s3://{mlflow_server.BUCKET}" and not settings.mlflow_artifacts:
        raise ConfigError(
            "MLflow's artifacts are in the local S3 server: without it they cannot be read. Leave --no-object-store out, or name another "
            "place in HEADRACE_MLFLOW_ARTIFACTS."
        )
    return replace(known, object_store=wanted, artifacts=mlflow_server.artifacts(settings, known.artifacts, object_store=wanted))


def _wanted(known: State) -> list[str]:
    return [name for name in ORDER if known.object_store or name != object_store.NAME]


def _urls(known: State) -> dict[str, str]:
    found = {
        "MLFLOW_TRACKING_URI": url_of(known, mlflow_server.NAME),
        "PREFECT_API_URL": f"{url_of(known, prefect_server.NAME)}/api",
    }
    return found | ({"AWS_ENDPOINT_URL_S3": url_of(known, object_store.NAME)} if known.object_store else {})


def _client_variables(known: State, secret: Secrets) -> dict[str, str]:
    urls = {name: url for name, url in _urls(known).items() if not name.startswith("AWS_")}
    return {
        **urls,
        "MLFLOW_TRACKING_USERNAME": "headrace",
        "MLFLOW_TRACKING_PASSWORD": secret.mlflow_password,
        "PREFECT_API_AUTH_STRING": secret.prefect_auth,
    }


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
