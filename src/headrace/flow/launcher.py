"""The flow's side of DVC: ask for a plan, start a DVC command, end it. Imports neither dvc nor prefect."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from headrace.errors import ConfigError, EngineError, WorkspaceBusy
from headrace.flow.dag import BUCKET
from headrace.flow.execution import Execution
from headrace.flow.lockfile import has_conflict
from headrace.processes import ProcessId
from headrace.storage.dvc_config import default_remote
from headrace.variables import child_environment, find_project

MAX_SHOWN_CHARS = 60

BUSY_TRIES, BUSY_WAIT_S = 10, 0.5
"""A run that was killed a moment ago is still being ended, and DVC calls its files "busy" until then: wait, and try again."""

BUSY = re.compile(r"is busy.*?\(PID (\d+)\): (.*?)\s*(?:\n|If there are|$)", re.DOTALL)
"""DVC's word on a file that another command holds: its process and command."""

OURS = "headrace/flow/dag.py"


@dataclass(frozen=True)
class Change:
    """One reason why a stage would run."""

    kind: str
    """dep, param, out, cmd, new or always."""
    what: str
    change: str
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        if self.kind == "param":
            return f"{self.what}: {_short(self.old)} -> {_short(self.new)}"
        return self.change if self.kind in ("new", "always", "cmd") else f"{self.what} {self.change}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "..."


@dataclass(frozen=True)
class Stage:
    """One stage of the DAG, as DVC sees it at the moment of planning."""

    name: str
    parents: tuple[str, ...]
    meta: dict[str, Any]
    deps: tuple[Path, ...]
    outs: tuple[Path, ...]
    changes: tuple[Change, ...]
    is_locked: bool
    """Whether dvc.lock has an entry for it: outputs that can be brought back."""
    size: int = 0
    """Bytes of its outputs in dvc.lock."""

    @property
    def pool(self) -> str:
        """Work pool on which it runs (`meta: pool`), '' for this machine."""
        return str(self.meta.get("pool") or "")

    @property
    def retries(self) -> int:
        """Times a failed stage is tried again (`meta: retries`)."""
        return int(self.meta.get("retries", 0))

    @property
    def timeout_s(self) -> float | None:
        """Seconds after which its process group is killed (`meta: timeout_s`); None: no limit."""
        limit = self.meta.get("timeout_s")
        return float(limit) if limit is not None else None


@dataclass(frozen=True)
class Plan:
    """The graph, parents before children."""

    stages: tuple[Stage, ...]
    has_remote: bool

    def stale(self, forced: frozenset[str] = frozenset()) -> dict[str, str]:
        """Stages that would run, with the reason: changed themselves, forced, or downstream of one that would."""
        found: dict[str, str] = {}
        for stage in self.stages:
            if stage.name in forced:
                found[stage.name] = "forced"
            elif stage.changes:
                found[stage.name] = "; ".join(str(change) for change in stage.changes)
            else:
                before = [parent for parent in stage.parents if parent in found]
                if before:
                    found[stage.name] = f"if {' or '.join(before)} gives another result"
        return found


class Launcher:
    """The DVC process of one run; a context manager. Starting it returns at once: dvc is imported meanwhile."""

    def __init__(self, project: Path, variables: dict[str, str] | None = None, *, for_bucket: bool = False) -> None:
        self._project, self._variables = project, variables or {}
        self._hints = [BUCKET] if for_bucket or variables else []
        self._lock = threading.Lock()
        self._running: list[Execution] = []
        self._process: subprocess.Popen[bytes] | psutil.Process | None = None
        self._is_asked = False
        self._begun: dict[str, Execution] = {}
        self._plan: dict[str, Any] = {}
        self.is_ended = False
        """Whether everything was asked to end; what goes on elsewhere looks here."""

    def begin(self) -> Self:
        """Start the process, unless it is there."""
        if self._process is not None:
            return self
        self._began_with = child_environment()
        self._control, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headrace.flow.dag", str(theirs.fileno()), ProcessId.own().to_text(), *self._hints],
            cwd=self._project,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**self._began_with, **self._variables},
        )
        theirs.close()
        return self

    __enter__ = begin

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for execution in [*self._running, *self._begun.values()]:
            execution.end()
        self._control.close()
        if self._process is not None:
            if not self._is_asked:  # it may be importing still, in vain
                self._process.kill()
            self._process.wait(timeout=10)

    def start(self, operation: str, *, environment: dict[str, str] | None = None, **arguments: Any) -> Execution:
        """Begin an operation of `dag.py` in a fork, with this process's variables and `environment`; one begun ahead goes on."""
        execution = self._begun.pop(_name(operation, arguments), None)
        if execution is None:
            with self._lock:
                execution = self._send(operation, environment or {}, arguments)
                self._await_receipt()
        self._running.append(execution)
        return execution

    def _send(self, operation: str, environment: dict[str, str], arguments: dict[str, Any]) -> Execution:
        self._is_asked = True
        since = {name: value for name, value in child_environment().items() if self._began_with.get(name) != value}
        request = {"operation": operation, "arguments": arguments, "environment": {**since, **environment}}
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno(), writing])
        except OSError as error:
            raise EngineError(f"the process that runs DVC cannot be reached ({error}). Run the command again.") from None
        finally:
            theirs.close()
            os.close(writing)
        return Execution(ours, reading)

    def _await_receipt(self) -> None:
        try:
            is_there = bool(self._control.recv(1))
        except OSError:
            is_there = False
        if not is_there:
            raise EngineError("the process that runs DVC ended by itself. Run `dvc status` to see whether DVC works here.")

    def hand_over(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Begin an operation and let go of DVC's process; returns what `taken_over` needs in the program that replaces this one."""
        execution = self._send(operation, {}, arguments)
        descriptors = [self._control.detach(), execution.replies.detach(), execution.output]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - its only form
        return {
            "pid": self._process.pid if self._process else 0,
            "begun": _name(operation, arguments),
            "descriptors": descriptors,
        }

    @classmethod
    def taken_over(cls, project: Path, told: dict[str, Any]) -> Self:
        """DVC's process as `hand_over` left it, with the operation that it began."""
        control, replies, output = told["descriptors"]
        for descriptor in told["descriptors"]:
            os.set_inheritable(descriptor, False)  # noqa: FBT003
        launcher = cls(project)
        launcher._process = psutil.Process(told["pid"])
        launcher._began_with = launcher._process.environ()
        launcher._control = socket.socket(fileno=control)
        launcher._begun[told["begun"]] = Execution(socket.socket(fileno=replies), output)
        launcher._is_asked = True
        launcher._await_receipt()
        return launcher

    def perform(
        self,
        operation: str,
        on_line: Callable[[str], None],
        *,
        timeout_s: float | None = None,
        environment: dict[str, str] | None = None,
        unless: Callable[[], bool] = lambda: False,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Do an operation of `dag.py` and wait for its end.

        Args:
            operation: its name.
            on_line: receives its log line by line.
            timeout_s: limit for one try.
            environment: variables added to its own.
            unless: whether it is not wanted any more; asked when it has begun.
            arguments: of the operation.

        Returns:
            {"result": ...} or {"error": message}; {} when it was killed.

        Raises:
            TimeoutError: the limit passed; the process group has been killed.
        """
        for left in reversed(range(BUSY_TRIES)):
            execution = self.start(operation, environment=environment, **arguments)
            if unless():
                execution.end()
            try:
                answer = execution.wait(on_line, timeout_s=timeout_s)
            finally:
                self._running.remove(execution)
            held = BUSY.search(error := str(answer.get("error")))
            is_by_hand = held is not None and OURS not in held.group(2)  # and may take hours
            if not left or is_by_hand or "is busy" not in error:
                break
            time.sleep(BUSY_WAIT_S)
        return answer

    def end_all(self) -> None:
        """Kill every command at work, as on a cancel."""
        self.is_ended = True
        for execution in list(self._running):
            execution.end()

    def bring_back(self) -> None:
        """Bring back every output that dvc.lock names; what `plan` asks is answered with it, unless `forget` comes between."""
        self._plan = self.perform("bring_back", lambda _: None)

    def forget(self) -> None:
        """What was asked ahead is out of date."""
        self._plan = {}

    def plan(self) -> Plan:
        """Read the graph and see what changed.

        Raises:
            WorkspaceBusy: a DVC command typed by hand is at work.
            ConfigError: DVC cannot read dvc.yaml, dvc.lock or params.yaml, and its own message is passed on; or there are no stages.
        """
        log: list[str] = []
        answer = self._plan or self.perform("plan", log.append)
        self.forget()
        if held := BUSY.search(str(answer.get("error"))):
            raise WorkspaceBusy(
                f"`{held.group(2)}` (process {held.group(1)}) is at work in {self._project}. Wait for its end, or work in another clone."
            )
        if "result" not in answer:
            raise ConfigError(f"DVC cannot plan the project: {explain(answer.get('error') or ' '.join(log[-3:]), self._project)}")
        if not answer["result"]["stages"]:
            raise ConfigError(
                "dvc.yaml has no stages: there is nothing to run. `git checkout dvc.yaml` brings the committed ones back."
            )
        return Plan(
            stages=tuple(
                Stage(
                    name=stage["name"],
                    parents=tuple(stage["parents"]),
                    meta=stage["meta"],
                    deps=tuple(Path(path) for path in stage["deps"]),
                    outs=tuple(Path(path) for path in stage["outs"]),
                    changes=() if stage["frozen"] else tuple(Change(**change) for change in stage["changes"]),
                    is_locked=stage["locked"],
                    size=stage["size"],
                )
                for stage in answer["result"]["stages"]
            ),
            has_remote=answer["result"]["remote"],
        )


def _name(operation: str, arguments: dict[str, Any]) -> str:
    return json.dumps([operation, arguments])


def for_transfer(start: Path | None) -> Launcher:
    """DVC's process for the project at or above `start`, begun before settings are read: the one takes .45 s, the other .15 s."""
    project = find_project(start)
    remote = default_remote(project)
    return Launcher(project, for_bucket=remote is not None and remote.is_s3)


def explain(message: str, project: Path) -> str:
    """DVC's message with the next step for the cases in which it leaves the user alone."""
    if "dvc.lock" in message and (project / "dvc.lock").exists():
        if has_conflict(project):
            return (
                "dvc.lock has the marks of a merge conflict. `headrace setup`, then `git checkout --merge dvc.lock` merges it stage by "
                "stage; or take one side, `git checkout --ours dvc.lock`. Then `headrace run`."
            )
        return (
            f"{message}. `headrace run` puts the last good one back; where it has none, `git checkout dvc.lock` brings the committed "
            "one, and without that delete it: the next run makes it anew."
        )
    if "environment.json" in message:
        return (
            f"{message}. `git checkout environment.json` brings it back; `headrace lint --fix` writes it from requirements.lock."
        )
    return message
