"""ci.yml: its schema, zizmor, and that all it runs is there."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.infra import documents, lint
from tests.projects import REPOSITORY

from headrace.cli.main import app

WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"
TEXT = WORKFLOW.read_text()


def faults(file: Any, text: str) -> list[str]:
    """What the schema does not see."""
    rules = {
        "every job begins with rights": file["permissions"] != {},
        "the gate is not run": not re.search(r"run: .*\.ci/run\b", text),
        "docker does not read compose.yaml": "docker compose --file infra/compose.yaml config" not in text,
    }
    found = [rule for rule, is_broken in rules.items() if is_broken]
    found += [f"{action} is not pinned" for action in re.findall(r"uses: (\S+@(?![0-9a-f]{40} # v\d)\S+)", text)]
    return found + [f"{name} {fault}" for name, job in file["jobs"].items() for fault in job_faults(job)]


def job_faults(job: Any) -> list[str]:
    """Rights of one job, and what it types that is not there."""
    script = "\n".join(step.get("run", "") for step in job["steps"])
    makefile = (REPOSITORY / "Makefile").read_text()
    paths = re.findall(r"(?<![\w/$\"])((?:\.ci|infra|src)/[\w./-]+|requirements\.lock)", script)
    rights = job.get("permissions", {})
    rules = {
        "has more rights than it needs": rights.get("contents") != "read" or set(rights) - {"contents", "pull-requests"},
        "may run for six hours": "timeout-minutes" not in job,
        "runs on another system one day": job["runs-on"].endswith("-latest"),
        "puts an expression into a shell": "${{" in script,
        "names a file that is not there": not all((REPOSITORY / path).exists() for path in paths),
        "asks make for what it has not": not all(
            re.search(rf"(?m)^{target}:", makefile) for target in re.findall(r"\bmake (\w+)", script)
        ),
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


def test_the_workflow_has_no_fault() -> None:
    """It runs the gate with no more rights than it needs, from pinned actions."""
    assert faults(documents(TEXT)[0], TEXT) == []


def test_github_would_take_it() -> None:
    """Held against the schema of workflows."""
    done = lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)

    assert done.returncode == 0, done.stdout


def test_zizmor_is_content() -> None:
    """The linter of what can be done to a workflow from outside."""
    done = lint("zizmor", "--offline", "--no-progress", WORKFLOW)

    assert done.returncode == 0, done.stdout


BROKEN: dict[str, Callable[[str], str]] = {
    "begins with rights": lambda text: text.replace("permissions: {}", "permissions: write-all"),
    "more rights": lambda text: text.replace("pull-requests: write", "contents: write\n      pull-requests: write").replace(
        "contents: read\n      contents: write", "contents: write"),
    "six hours": lambda text: text.replace("    timeout-minutes: 45\n", ""),
    "one day": lambda text: text.replace("ubuntu-24.04", "ubuntu-latest", 1),
    "an expression": lambda text: text.replace("run: make install", "run: echo ${{ github.event.pull_request.title }}"),
    "is not there": lambda text: text.replace("infra/kubernetes.lock", "infra/kubernetes.txt"),
    "asks make": lambda text: text.replace("make install", "make instal"),
    "is not pinned": lambda text: re.sub(r"checkout@\w+ # v7.0.1", "checkout@v7", text, count=1),
    "the gate": lambda text: text.replace(".ci/run # it", "true # it"),
    "docker does not read": lambda text: text.replace("compose --file infra/compose.yaml", "info"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_workflow_is_found(fault: str) -> None:
    """Each check must be able to fail."""
    text = BROKEN[fault](TEXT)

    assert text != TEXT
    assert any(fault in each for each in faults(documents(text)[0], text))


def test_the_linters_can_fail(tmp_path: Path) -> None:
    """An expression in a shell is found by zizmor, an unknown key by the schema."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    broken = folder / "ci.yml"
    broken.write_text(BROKEN["an expression"](TEXT).replace("timeout-minutes: 15", "timeout: 15"))

    assert "template-injection" in lint("zizmor", "--offline", "--no-progress", broken).stdout
    assert lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", broken).returncode == 1


def test_headrace_commands_exist() -> None:
    """What the workflow types is what the command line has."""
    typed = [line.split()[1:] for line in re.findall(r"\.venv/bin/(headrace [^#\n]*)", TEXT)]
    known: Any = typer.main.get_command(app)

    assert typed == [["ci", "--out", "review"]]
    for name, *words in typed:
        known.commands[name].make_context(name, words)
    with pytest.raises(Exception, match="No such option"):
        known.commands["ci"].make_context("ci", ["--outt", "review"])


def test_the_audited_locks_are_those_there_are() -> None:
    """A lock that nobody audits ages unseen."""
    listed = subprocess.run(
        ["git", "ls-files", "*.lock"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    locks = {path for path in listed if "--hash=sha256" in (REPOSITORY / path).read_text()}
    script = json.dumps(documents(TEXT)[0]["jobs"]["audit"])

    assert {path for path in locks if path not in script} == set()
