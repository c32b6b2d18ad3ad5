"""DVC's process for a scheduled run, begun in the pull step, which is a program that the flow's replaces.

Prefect runs pull steps in one process and then executes the flow's program in it: the pid stays, and so do its children and the
descriptors that it leaves open. That program imports Prefect anew, more than a second long; meanwhile the outputs are checked out.
"""

import contextlib
import json
from pathlib import Path

import psutil

from headrace.errors import EngineError
from headrace.flow.launcher import Launcher
from headrace.processes import ProcessId
from headrace.settings import Settings
from headrace.storage.dvc_remote import client_variables
from headrace.variables import set_variable, take_variable

VARIABLE = "HEADRACE_DVC_BEGUN"

_begun: list[Launcher] = []


def begin(settings: Settings, operation: str, **arguments: object) -> None:
    """Start DVC's process with an operation, for the flow's program to take over; where none comes, both end with this process."""
    _begun.append(launcher := Launcher(settings.project, client_variables(settings)).begin())
    told = launcher.hand_over(operation, **arguments)
    set_variable(VARIABLE, json.dumps({"owner": ProcessId.own().to_text(), **told}))


def taken_over(project: Path) -> Launcher | None:
    """What `begin` left in this process; None where it was another one, or is gone."""
    told = take_variable(VARIABLE)
    if not told:
        return None
    with contextlib.suppress(psutil.Error, OSError, EngineError):
        found = json.loads(told)
        if ProcessId.from_text(found["owner"]) == ProcessId.own():
            return Launcher.taken_over(project, found)
    return None
