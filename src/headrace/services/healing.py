"""Bring up what is down: one pass over the services of a project."""

import functools
from collections.abc import Callable
from dataclasses import replace

from headrace.errors import EngineError
from headrace.services import mlflow_server, object_store, ports, prefect_server, state
from headrace.services.asking import wait_for
from headrace.services.credentials import Secrets
from headrace.services.credentials import write as write_credentials
from headrace.services.inventory import describe, url_of, urls, wanted
from headrace.services.service import Service, end, start, wait_ready
from headrace.services.state import State
from headrace.settings import Settings

ANSWER_LIMIT_S = 20.0
PORT_LIMIT_S = 5.0

Say = Callable[[str], None]


class Healing:
    """One pass over the services: what lives and answers is left alone, the rest is started, in order."""

    def __init__(self, settings: Settings, secret: Secrets, known: State, say: Say) -> None:
        self.settings = settings
        self.secret = secret
        self.known = known
        self.say = say
        self.folder = settings.services_folder
        self.begun: list[str] = []

    def heal(self) -> None:
        """Bring up what is down; `begun` names it. Raises as `operations.up` does."""
        down_now = [name for name in wanted(self.known) if not self._is_up(name)]
        if object_store.NAME in down_now:
            self._install_object_store()  # takes a minute the first time: before ports are chosen, or somebody else has them by then
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
        write_credentials(self.folder, self.secret, urls(self.known))
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
        for name, setting in asked.items():
            if name not in names:
                if name in self.known.processes and setting not in (None, chosen[name]):
                    self.say(
                        f"  {name} runs on port {chosen[name]}; {ports.SETTING[name]}={setting} counts after `headrace down`"
                    )
                continue
            self._end_survivors(name, setting or chosen.get(name))
            taken = {each for other, port in chosen.items() if other != name for each in range(port, port + ports.WIDTH[other])}
            chosen[name] = ports.choose(name, wanted=setting, remembered=chosen.get(name), taken=taken)
        self._remember(replace(self.known, ports=chosen))

    def _end_survivors(self, name: str, port: int | None) -> None:
        """What outlived a kill holds the port, and lets go of it a moment after its own end. A worker holds none: its flow runs go on."""
        ended = end(self.folder, name, self.known.processes.get(name))
        if not ended:
            return
        self.say(f"  {name}: {ended} process{'es' if ended > 1 else ''} of a killed one ended")
        if port is not None:
            wait_for(functools.partial(ports.is_free, port), timeout_s=PORT_LIMIT_S)

    def _install_object_store(self) -> None:
        environment = object_store.environment_folder(self.settings)
        self.say("  object-store: OpenStack Swift, in an environment of its own")
        if object_store.ensure_environment(environment):
            self.say(f"  object-store: installed once, in {environment}")

    def _start_object_store(self) -> None:
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
