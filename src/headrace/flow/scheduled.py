"""What a run from a deployment has around it: outputs brought back first, reports kept, and a message when it ends badly."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from headrace.errors import HeadraceError
from headrace.flow.notices import Notice, send, tail_of
from headrace.flow.run import EndState, Run
from headrace.processes import end_descendants
from headrace.settings import Settings

LEAVE_S = 3.0
"""For a cancelled run to tell Prefect; a person who cancels has been promised ten seconds."""
STAGE = re.compile(r"stage (\S+) failed")


@contextmanager
def in_clone(run: Run, *, needs_outputs: bool = False) -> Iterator[None]:
    """Around the flow's body: nothing for a run that a person started in a workspace of their own.

    Args:
        run: of the workspace.
        needs_outputs: whether outputs that this machine's cache lacks are pulled first; a flow that runs stages restores them itself.

    A failure is told and goes on its way; a cancelled run is told to nobody: somebody cancelled it.
    """
    if not is_scheduled():
        yield
        return
    # Git, merging and every kind of source: no other run needs them.
    from headrace.flow import checkout
    from headrace.flow.refresh import in_words, refresh_sources
    from headrace.flow.state_branch import carry, has_begun

    logger = get_run_logger()
    checkout.bring_back(run, pull=needs_outputs)
    try:
        if not needs_outputs:
            changes = refresh_sources(run.settings)
            for line in in_words(changes):
                logger.info(line)
            if changes:
                run.launcher.forget()
        yield
        if has_begun(run.settings):
            carry(run.settings, logger.info)
    except TerminationSignal:
        run.launcher.end_all()
        threading.Thread(target=_leave, name="leave", daemon=True).start()
        raise
    except Exception as error:
        send(run.settings, failure(run, str(flow_run.flow_name), error), say=logger.warning)
        raise
    else:
        if (notice := refusal(run.settings, run)) is not None:
            send(run.settings, notice, say=logger.warning)
    finally:
        checkout.keep_reports(run.settings)


def _leave() -> None:
    """Be gone soon: an import under way beside the run would hold a cancelled one, half a minute on a busy machine."""
    time.sleep(LEAVE_S)
    end_descendants()
    os._exit(128 + signal.SIGTERM)


def is_scheduled() -> bool:
    """Whether this flow run comes from a deployment."""
    context = FlowRunContext.get()  # prefect.runtime.deployment.id would ask the server where there is none
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def failure(run: Run, flow: str, error: BaseException) -> Notice:
    """The message of a run that failed."""
    text = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
    found = STAGE.search(text)
    stage = found.group(1) if found else _failed_step(run)
    return Notice(
        flow=flow,
        subject=f"stage {stage}" if found else stage,
        reason=text,
        tail=tail_of(run.settings.local / "logs" / f"{stage}.log"),
        look=look(),
        page=str(flow_run.ui_url or ""),
    )


def refusal(settings: Settings, run: Run) -> Notice | None:
    """The message of a challenger that was refused in this run, by the gate or beside the champion; None otherwise."""
    for step, path, is_refused in (
        ("promote", "promotion.json", lambda told: told.get("decision") == "refused"),
        ("register", "evaluate.json", lambda told: told.get("verdict", {}).get("allowed") is False),
    ):
        outcome = run.outcomes.get(step)
        if outcome is None or outcome.state is not EndState.RAN:
            continue  # the same look as the last time, which has been told
        told = _read(settings, path)
        if is_refused(told):
            reasons = told.get("reasons") or told.get("verdict", {}).get("reasons") or [outcome.headline]
            return refused(outcome.headline, [str(reason) for reason in reasons])
    return None


def refused(headline: str, reasons: list[str]) -> Notice:
    """The message of a refused promotion."""
    return Notice(
        flow="promotion",
        subject=headline.partition(":")[0],
        happened="refused",
        reason="\n".join([headline, *reasons]),
        look="headrace history",
        page=str(flow_run.ui_url or ""),
    )


def look() -> str:
    """What to type to look further at this run."""
    return f"headrace runs {flow_run.id}"


def _failed_step(run: Run) -> str:
    failed = [name for name, outcome in run.outcomes.items() if outcome.state is EndState.FAILED]
    return failed[-1] if failed else "the run"


def _read(settings: Settings, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((settings.project / "reports" / name).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
