"""What follows the DAG and touches the world: record, register, promote, report, push. Each is idempotent and keyed.

A step's key is a digest of what decides its outcome (dvc.lock, the store, its own params). When that key is recorded as done in this
checkout the step ends as `unchanged`, and mlflow is not imported. Steps that do not concern a project (no section of that name in
params.yaml) do not appear in its flow.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.fingerprint import file_sha256, value_sha256
from headrace.flow.run import EndState, Outcome, Run, lock_digest
from headrace.params import read_yaml
from headrace.settings import Settings, current_branch
from headrace.storage.local import write_json

STATE = "steps.json"
PROMOTION = "reports/promotion.json"

Log = Callable[[str], Any]


@dataclass(frozen=True)
class Step:
    """One step after the DAG."""

    name: str
    applies: Callable[[Run], bool]
    key: Callable[[Settings], str]
    act: Callable[[Run, Log], tuple[str, Sequence[str]]]
    """Does it; returns a line for the terminal, and reasons that belong below it."""
    get_ready: Callable[[Settings], None] | None = None
    """Imports what `act` needs; called while the last stages still work."""

    def take(self, run: Run, log: Log) -> Outcome:
        """Do the step unless its key is recorded as done."""
        key = self.key(run.settings)
        done = _done(run.settings)
        reasons: Sequence[str] = ()
        if done.get(self.name, {}).get("key") == key:
            outcome = Outcome(EndState.UNCHANGED, 0.0, str(done[self.name].get("headline", "")))
        else:
            started = time.monotonic()
            run.terminal.begin(self.name)
            if run.ready is not None:
                run.ready.join()
            line, reasons = self.act(run, log)
            for each in (line, *reasons):
                log(each)
            outcome = Outcome(EndState.RAN, time.monotonic() - started, line)
            _record(run.settings, self.name, self.key(run.settings), line)
        run.outcomes[self.name] = outcome
        run.terminal.end(self.name, outcome.state, outcome.seconds, outcome.headline, below=reasons)
        return outcome


def _done(settings: Settings) -> dict[str, Any]:
    try:
        found = json.loads((settings.local / STATE).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _record(settings: Settings, name: str, key: str, line: str) -> None:
    write_json(settings.local / STATE, {**_done(settings), name: {"key": key, "headline": line}})


def _has_section(name: str) -> Callable[[Run], bool]:
    return lambda run: name in read_yaml(run.settings.project / "params.yaml")


def _is_tracked(name: str) -> Callable[[Run], bool]:
    """Steps that write to MLflow: HEADRACE_TRACKING=false leaves them out."""
    return lambda run: run.settings.tracking and _has_section(name)(run)


def _outcome_key(settings: Settings) -> str:
    """What register and promote depend on: the DAG's result, the store, who asks, and their own params."""
    params = read_yaml(settings.project / "params.yaml")
    return value_sha256(
        {
            "lock": lock_digest(settings.project),
            "store": settings.tracking_uri,
            "experiment": settings.experiment,
            "branch": current_branch(settings.project) if settings.is_shared_registry else "",
            "register": params.get("register"),
            "promote": params.get("promote"),
        }
    )


def _promotion_key(settings: Settings) -> str:
    """As for register; a decision that is no longer in the workspace is made again, for the page to show."""
    return value_sha256([_outcome_key(settings), (settings.project / PROMOTION).exists()])


def _report_key(settings: Settings) -> str:
    promotion = settings.project / PROMOTION
    page = settings.project / "reports" / "report.html"
    return value_sha256(
        {
            "lock": lock_digest(settings.project),
            "promotion": file_sha256(promotion) if promotion.exists() else "",
            "page": page.exists(),
        }
    )


def _open_store(settings: Settings) -> None:
    from headrace.registry import operations  # noqa: F401  # numpy and Arrow come with it
    from headrace.tracking.store import connect

    connect(settings.tracking_uri)


def _load_page(settings: Settings) -> None:
    from headrace.flow.page import RESULTS, are_docs_new

    if are_docs_new(settings, settings.project / RESULTS):
        from headrace.validation import data_docs  # noqa: F401  # Great Expectations: 3 s


def _record_run(run: Run, log: Log) -> tuple[str, Sequence[str]]:
    from headrace.registry.operations import record

    return record(run.settings, say=log), ()


def _register(run: Run, log: Log) -> tuple[str, Sequence[str]]:
    from headrace.registry.operations import register_package

    told = register_package(run.settings, say=log)
    return told.headline, told.reasons


def _promote(run: Run, _log: Log) -> tuple[str, Sequence[str]]:
    from headrace.registry.operations import promote_challenger

    told = promote_challenger(run.settings)
    return told.headline, told.reasons


def _report(run: Run, log: Log) -> tuple[str, Sequence[str]]:
    from headrace.flow.page import write_page

    run.save_timings()
    page = write_page(
        run.settings,
        say=log,
        parents={stage.name: stage.parents for stage in run.plan.stages},
        lines={name: outcome.headline for name, outcome in run.outcomes.items()},
    )
    return page, ()


def _push_key(settings: Settings) -> str:
    from headrace.flow.transfer import push_key

    return push_key(settings)


def _push(run: Run, log: Log) -> tuple[str, Sequence[str]]:
    from headrace.flow.transfer import send

    return send(run.settings, log, contextlib.nullcontext(run.launcher)), ()


STEPS = (
    Step("record", _is_tracked("evaluate"), _outcome_key, _record_run, _open_store),
    Step("register", _is_tracked("register"), _outcome_key, _register),
    Step("promote", _is_tracked("promote"), _promotion_key, _promote),
    Step("report", _has_section("evaluate"), _report_key, _report, _load_page),
    Step("push", lambda run: run.plan.has_remote, _push_key, _push),
)


def steps_of(run: Run) -> list[Step]:
    """The steps that concern this project, in order."""
    return [] if run.is_partial else [step for step in STEPS if step.applies(run)]


def pending(run: Run) -> list[Step]:
    """The steps that have something to do, as far as can be told before the DAG ran."""
    done = _done(run.settings)
    return [step for step in steps_of(run) if done.get(step.name, {}).get("key") != step.key(run.settings)]


def check_store(run: Run) -> None:
    """Refuse to begin what cannot be recorded in the end: known now it costs seconds, after a training the training's time.

    Raises:
        EngineError: MLflow does not answer.
    """
    if any(
        step.name in WRITE_TO_STORE for step in steps_of(run)
    ):  # also one that is done: its key follows from what will be made
        from headrace.tracking.store import check

        check(run.settings.tracking_uri)


WRITE_TO_STORE = ("record", "register", "promote")

MAX_STAGES_LEFT = 2
"""Getting ready begins when so few stages are left: earlier it would take the cores from a training."""


def get_ready(run: Run) -> None:
    """Begin to import what the pending steps need, once, when the last stages are at work; the first step that acts waits for it."""
    with run.lock:
        if run.ready is not None or len(run.plan.stages) - len(run.outcomes) > MAX_STAGES_LEFT:
            return
        run.ready = threading.Thread(target=_get_ready, args=(run,), name="get-ready")  # no daemon, as in conductor.py
    run.ready.start()


def _get_ready(run: Run) -> None:
    for step in pending(run):
        if step.get_ready is None:
            continue
        with contextlib.suppress(Exception):  # the step itself will meet it again, and tell
            step.get_ready(run.settings)
