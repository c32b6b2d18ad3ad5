"""One run of the pipeline in one workspace: the plan, the state of each stage, and how a stage is executed.

Knows DVC through `launcher.py` and nothing of prefect: `pipelines/train.py` makes tasks of it, `headrace run --stage` calls it directly.
"""

import atexit
import contextlib
import gc
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, HeadraceError, StageFailed
from headrace.fingerprint import file_sha256
from headrace.flow import freshness, lockfile
from headrace.flow.ahead import HeadStart
from headrace.flow.handover import taken_over
from headrace.flow.launcher import Launcher, Plan, Stage
from headrace.flow.space import shortage
from headrace.flow.terminal import Terminal
from headrace.flow.workspace import hold_workspace
from headrace.params import did_you_mean
from headrace.processes import ProcessId
from headrace.settings import PREFECT_RUN, Settings
from headrace.storage.dvc_output import is_noise
from headrace.storage.dvc_remote import client_variables
from headrace.storage.local import write_json
from headrace.variables import variable

PERMANENT = frozenset(
    {
        "ParamsError",
        "ConfigError",
        "FormatError",
        "ValidationFailed",
        "DataError",
        "EnvironmentMismatch",
        "ResumeRefused",
        "StaleSnapshot",
    }
)
"""Failures that a second try cannot mend."""


class EndState(StrEnum):
    """How a stage ended. Never anything else."""

    RAN = "ran"
    RESTORED = "restored"
    """From the run-cache: DVC had run it with these inputs before."""
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass
class Outcome:
    """What became of one stage."""

    state: EndState
    seconds: float
    headline: str = ""
    """A number that means something: rows kept, accuracy."""


@dataclass
class Run:
    """The state of one run; made by `open_run`."""

    settings: Settings
    launcher: Launcher
    terminal: Terminal
    token: str
    plan: Plan = field(default_factory=lambda: Plan((), has_remote=False))
    forced: frozenset[str] = frozenset()
    stale: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    source_marks: dict[str, list[int]] = field(default_factory=dict)
    pool: str = ""
    """Work pool that this machine works for, for a run that works elsewhere."""
    is_partial: bool = False
    """Whether only some stages were asked for: then no step follows the DAG."""
    ahead: HeadStart | None = None
    """Stages begun before Prefect was there."""
    is_given_up: bool = False
    """Whether stages at work are being ended although nothing is wrong with them: they have not failed."""
    ready: threading.Thread | None = None
    """Imports what the steps after the DAG need; see steps.get_ready."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        # Prefect's threads and those of the head start together must not exceed the limit.
        self._slots = threading.BoundedSemaphore(self.settings.max_stages)

    def look(self, *, forced: frozenset[str] = frozenset()) -> None:
        """Plan: read the graph, see what changed.

        Raises:
            ConfigError: DVC cannot read the project, or a forced stage does not exist.
        """
        if self.plan.stages and forced == self.forced:
            return  # planned a moment ago by the command that started the flow
        try:
            self.plan = self.launcher.plan()
        except ConfigError as error:
            told = lockfile.put_back(self.settings.project, self.settings.local) if lockfile.NAME in str(error) else ""
            if not told:
                raise
            sys.stderr.write(f"{told}\n")
            self.plan = self.launcher.plan()
        lockfile.keep(self.settings.project, self.settings.local)
        names = [stage.name for stage in self.plan.stages]
        for name in forced:
            if name not in names:
                raise ConfigError(f"dvc.yaml has no stage '{name}'.{did_you_mean(name, names)}")
        made = {out for stage in self.plan.stages for out in stage.outs}
        sources = {dep for stage in self.plan.stages for dep in stage.deps if made.isdisjoint((dep, *dep.parents))}
        self.source_marks = freshness.marks([*sorted(sources), *(self.settings.project / name for name in freshness.ALWAYS)])
        self.forced = forced
        self.stale = self.plan.stale(forced)
        if told := shortage(self.plan, self.stale, self.settings.project, self.settings.state_home):
            sys.stderr.write(f"{told}\n")

    def begin_ahead(self) -> HeadStart:
        """Begin the plan's stages now, before the flow is there to do it."""
        here = [stage for stage in self.plan.stages if self._is_here(stage)]  # a pool is reached through Prefect
        self.ahead = HeadStart(here, self._update, max_stages=self.settings.max_stages)
        return self.ahead

    def give_up(self) -> None:
        """End what was begun ahead, because no flow will take it over."""
        self.is_given_up = True
        if self.ahead:
            self.ahead.close()
        self.launcher.end_all()

    def execute(self, stage: Stage, log: Callable[[str], None]) -> Outcome:
        """Bring one stage up to date, or wait for it where it was begun ahead; its parents are up to date.

        Args:
            stage: of the plan.
            log: receives its output line by line.

        Raises:
            StageFailed: it failed, was killed or ran into its time limit; the previous outputs have been brought back.
        """
        begun = self.ahead.take_over(stage.name) if self.ahead else None
        return begun.follow(log) if begun else self._update(stage, log)

    def _update(self, stage: Stage, log: Callable[[str], None]) -> Outcome:
        if stage.name not in self.stale:
            return self._end(stage, EndState.UNCHANGED, 0.0)
        with self._slots if self._is_here(stage) else contextlib.nullcontext():
            return self._work(stage, log)

    def _work(self, stage: Stage, log: Callable[[str], None]) -> Outcome:
        started = time.monotonic()
        self.terminal.begin(stage.name)
        lines: list[str] = []
        log_path = self.settings.local / "logs" / f"{stage.name}.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("w", encoding="utf-8") as file:

            def take(line: str) -> None:
                if is_noise(line):
                    return
                lines.append(line)
                file.write(line + "\n")
                file.flush()
                self.terminal.line(stage.name, line)
                log(line)

            state: EndState | None = None
            problem: str | None = None
            if self._is_here(stage):
                problem = self._reproduce(stage, take)
            else:
                state, problem = self._send(stage, take)
        seconds = time.monotonic() - started
        if problem is not None:
            if not self.is_given_up:
                self._end(stage, EndState.FAILED, seconds)
            raise StageFailed(self._explain(stage, problem, lines if self._is_here(stage) else [], log_path))
        return self._end(stage, state or self._state(stage, lines), seconds)

    def _is_here(self, stage: Stage) -> bool:
        return stage.pool in ("", self.pool) or stage.name not in self.stale

    def _send(self, stage: Stage, take: Callable[[str], None]) -> tuple[EndState | None, str | None]:
        """How it ended on its pool, else what went wrong."""
        from headrace.flow.elsewhere import send

        try:
            return send(self, stage, stage.pool, take), None
        except HeadraceError as error:
            return None, str(error)

    def _reproduce(self, stage: Stage, take: Callable[[str], None]) -> str | None:
        """None when it went well, else what went wrong."""
        try:
            answer = self.launcher.perform(
                "reproduce",
                take,
                timeout_s=stage.timeout_s,
                environment={"HEADRACE_RUN": self.token, PREFECT_RUN: variable(PREFECT_RUN)},
                unless=lambda: self.is_given_up,  # it slipped in while the others were being ended
                stage=stage.name,
                force=stage.name in self.forced,
                pull=self.plan.has_remote,
            )
        except TimeoutError:
            return f"it ran longer than its limit of {stage.timeout_s:g} s (meta: timeout_s in dvc.yaml), and was ended"
        if "result" in answer:
            return None
        problem = str(answer.get("error") or "exited with -9")
        killed = re.search(r"exited with (?:-9|137)\b", problem)
        if killed:
            return "it was killed (signal 9): by hand, or by the system for want of memory. Run again: it goes on from there"
        return problem

    def _state(self, stage: Stage, lines: list[str]) -> EndState:
        if self._was_started(stage):
            return EndState.RAN
        if any(line.startswith("Running stage") for line in lines):
            return EndState.RAN
        if any("is cached - skipping run" in line for line in lines) or stage.changes:
            return EndState.RESTORED
        return EndState.UNCHANGED

    def _was_started(self, stage: Stage) -> bool:
        """Whether the stage's own process began in this run."""
        mark = self.settings.local / "executions" / stage.name
        return mark.exists() and mark.read_text(encoding="utf-8") == self.token

    def _end(self, stage: Stage, state: EndState, seconds: float) -> Outcome:
        outcome = Outcome(state, seconds, headline(self.settings.project, stage.name) if state is not EndState.FAILED else "")
        with self.lock:
            self.outcomes[stage.name] = outcome
        self.terminal.end(stage.name, state, seconds, outcome.headline)
        return outcome

    def _explain(self, stage: Stage, problem: str, lines: list[str], log_path: Path) -> str:
        evidence = self.settings.local / "failed" / stage.name
        kind, message = "", ""
        with contextlib.suppress(OSError, ValueError):
            if self._was_started(stage):  # else the evidence is of another time
                told = json.loads((evidence / "error.json").read_text(encoding="utf-8"))
                kind, message = told["kind"], told["message"]
        if not message:
            message = problem
            tail = [line for line in lines if not line.startswith(("Running stage", "> "))][-3:]
            if tail:
                message += "\n" + "\n".join(f"    {line}" for line in tail)
        text = [f"stage {stage.name} failed{f' ({kind})' if kind else ''}: {message}"]
        text.append(f"  log: {log_path.relative_to(self.settings.project)}")
        if message and kind and evidence.exists():
            text.append(f"  evidence: {evidence.relative_to(self.settings.project)}/")
        if stage.is_locked:
            answer = self.launcher.perform("checkout", lambda _: None, stages=[stage.name])
            text.append(
                "  the previous outputs have been brought back"
                if "result" in answer
                else f"  the previous outputs could not be brought back: {answer.get('error')}"
            )
        return "\n".join(text)

    def is_permanent(self, stage: str) -> bool:
        """Whether the stage's failure is one that a second try cannot mend."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads((self.settings.local / "failed" / stage / "error.json").read_text(encoding="utf-8"))
            return told["kind"] in PERMANENT
        return False

    def save_timings(self) -> None:
        """Write reports/timings.json: end states and seconds, for the report; outside DVC, because a clock is in it."""
        write_json(
            self.settings.project / "reports" / "timings.json",
            {"stages": {name: {"state": o.state.value, "seconds": round(o.seconds, 2)} for name, o in self.outcomes.items()}},
        )


_current: list[Run] = []
_started: list[Launcher] = []
"""DVC's process, started ahead of the run that will use it."""


def start_dvc(settings: Settings) -> None:
    """Start DVC's process now, for the `open_run` that follows in this process: DVC is imported while Prefect begins the flow."""
    if not _started:
        _started.append(_launcher(settings).begin())  # DVC's ends with this process, also where no `open_run` comes


def _launcher(settings: Settings) -> Launcher:
    return Launcher(settings.project, client_variables(settings))


@contextmanager
def open_run(settings: Settings, terminal: Terminal | None = None) -> Iterator[Run]:
    """Hold the workspace and start DVC's process; inside another `open_run` of this process, the same run again.

    The inner one is the flow that takes over: from then on no stage begins ahead of its task.

    Raises:
        WorkspaceBusy: another process holds the workspace.
    """
    if _current:
        if _current[-1].ahead is not None:
            _current[-1].ahead.close()
        yield _current[-1]
        return
    # Else the interpreter takes Prefect, MLflow and Great Expectations apart, object by object, before it ends: 1.4 s.
    atexit.register(gc.freeze)
    own = ProcessId.own()
    token = f"{own.pid}-{own.started:.2f}-{os.urandom(4).hex()}"
    with (
        hold_workspace(settings.local),
        _started.pop() if _started else (taken_over(settings.project) or _launcher(settings)) as launcher,
        terminal or Terminal() as shown,
    ):
        run = Run(settings=settings, launcher=launcher, terminal=shown, token=token)
        _current.append(run)
        try:
            yield run
        finally:
            _current.clear()


def headline(project: Path, stage: str) -> str:
    """The line a stage's report offers for the terminal, '' when it has none."""
    try:
        found: Any = json.loads((project / "reports" / f"{stage}.json").read_text(encoding="utf-8"))
        return str(found.get("headline", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def lock_digest(project: Path) -> str:
    """sha256 of dvc.lock, '' when there is none."""
    path = project / "dvc.lock"
    return file_sha256(path) if path.exists() else ""
