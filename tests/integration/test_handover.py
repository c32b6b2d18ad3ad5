"""DVC's process outlives the program that began it and works on for the one that replaces it, as Prefect replaces the pull steps'."""

import json
import os
import sys
from pathlib import Path

from tests.projects import Checkout, make_project

from headrace.flow.handover import VARIABLE, taken_over
from headrace.processes import ProcessId

DAG = "stages:\n  only: {cmd: 'echo made > out/only', outs: [out/only]}\n"

PULL_STEP = """
import os, sys
from pathlib import Path
from headrace.flow import handover
from headrace.settings import load_settings, prepare_process

settings = load_settings(Path.cwd())
prepare_process(settings)
handover.begin(settings, "bring_back")
os.execv(sys.executable, [sys.executable, sys.argv[1]])
"""

FLOW = """
import json, os, signal, time
from pathlib import Path
from headrace.flow.handover import taken_over

before = os.environ["HEADRACE_DVC_BEGUN"]
{between}
launcher = taken_over(Path.cwd())
found = {{"taken": launcher is not None, "is_passed_on": "HEADRACE_DVC_BEGUN" in os.environ}}
if launcher is not None:
    with launcher:
        launcher.bring_back()
        found["changed"] = [str(change) for stage in launcher.plan().stages for change in stage.changes]
        found["again"] = [stage.name for stage in launcher.plan().stages]
print(json.dumps(found))
"""

KILLED = "os.kill(json.loads(before)['pid'], signal.SIGKILL); time.sleep(0.2)"


def run_both(checkout: Checkout, tmp_path: Path, between: str = "") -> dict[str, object]:
    """What the second program found."""
    for name, text in (("pull_step.py", PULL_STEP), ("flow.py", FLOW.format(between=between))):
        (tmp_path / name).write_text(text)
    told = checkout.run(sys.executable, str(tmp_path / "pull_step.py"), str(tmp_path / "flow.py")).stdout
    return dict(json.loads(told.splitlines()[-1]))


def clone_without_outputs(tmp_path: Path) -> Checkout:
    """What a scheduled run begins with: dvc.lock, and outputs in the cache only."""
    checkout = make_project(tmp_path / "project", tmp_path / "home", {"dvc.yaml": DAG})
    checkout.headrace("setup")
    checkout.run("dvc", "repro", "-q")
    (checkout.folder / "out" / "only").unlink()
    return checkout


def test_the_program_that_replaces_the_pull_step_goes_on_with_its_dvc(tmp_path: Path) -> None:
    """Outputs are brought back and the plan is made while the second program imports Prefect."""
    checkout = clone_without_outputs(tmp_path)

    found = run_both(checkout, tmp_path)

    assert found == {"taken": True, "is_passed_on": False, "changed": [], "again": ["only"]}
    assert (checkout.folder / "out" / "only").read_text() == "made\n"


def test_a_process_that_is_gone_is_not_taken_over(tmp_path: Path) -> None:
    """Then the flow starts one of its own, as without a pull step."""
    found = run_both(clone_without_outputs(tmp_path), tmp_path, between=KILLED)

    assert found == {"taken": False, "is_passed_on": False}


def test_another_process_takes_nothing_over(tmp_path: Path, monkeypatch) -> None:
    """A worker may run the flow in a child, which has the variable and not the descriptors."""
    monkeypatch.setenv(VARIABLE, json.dumps({"owner": ProcessId(os.getpid(), 1.0).to_text(), "pid": 1, "descriptors": [0, 1, 2]}))

    assert taken_over(tmp_path) is None
    assert VARIABLE not in os.environ
