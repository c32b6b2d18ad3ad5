"""Each command in infra/ is parsed by the program it starts; each variable is one that a program says it reads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.infra import (
    INFRA,
    K8S,
    OTHER_VARIABLES,
    OVERLAYS,
    ask_programs,
    containers,
    documents,
    interpolated,
    kustomized,
    our_variables,
    programs_of,
    secret_manifests,
)
from tests.projects import REPOSITORY

DOCKERFILE = (INFRA / "Dockerfile").read_text()
SERVICES: dict[str, Any] = documents((INFRA / "compose.yaml").read_text())[0]["services"]

BROKEN_COMMANDS = (
    ["mlflow", "server", "--alowed-hosts=a"],
    ["mlflow", "db", "upgrde", "x"],
    ["mlflow", "server", "--app-name=none"],
    ["prefect", "worker", "start", "--pol", "x"],
    ["prefect", "server", "strat"],
    ["prefect", "worker", "start", "--pool", "x", "--install-policy", "nevr"],
)
"""Each must be refused, or the parsers were not asked."""


class Anything(dict[str, str]):
    """A value for every ${VARIABLE}."""

    def __missing__(self, name: str) -> str:
        return "4242"

    def get(self, name: str, default: Any = None) -> Any:
        """Of dict; a missing one is not missing."""
        return "4242" if name.endswith("_PORT") else self.__missing__(name)


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    """Of both overlays."""
    return [each for name in OVERLAYS for each in kustomized(K8S / "overlays" / name)]


def test_commands_and_variables_exist(manifests: list[dict[str, Any]]) -> None:
    """An option that MLflow or Prefect dropped ends a server's start; a variable that nobody reads is a setting that does nothing."""
    words = [interpolated(each["command"], Anything()) for each in SERVICES.values() if "command" in each]
    words += [[*one.get("command", []), *one.get("args", [])] for each in manifests for one in containers(each)]
    words += [json.loads(each) for each in re.findall(r'(?m)^CMD (\["prefect.*\])$', DOCKERFILE)]
    words += [["prefect", "work-pool", "create", "gpu", "--type", "kubernetes", "--base-job-template", "x.json", "--overwrite"]]
    commands = [command for each in words if (command := programs_of(each))]
    said, read = ask_programs([*commands, *BROKEN_COMMANDS])

    assert len(commands) >= 15
    assert [fault for fault in said[: len(commands)] if fault] == []
    assert all(said[len(commands) :])
    assert variables(manifests) - read - our_variables() - OTHER_VARIABLES == set()
    assert "MLFLOW_TRACKING_URL" not in read | our_variables() | OTHER_VARIABLES


def variables(manifests: list[dict[str, Any]]) -> set[str]:
    """Every variable that infra/ sets."""
    found = {name for each in SERVICES.values() for name in each.get("environment") or {}}
    found |= set(re.findall(r"(?m)^(?:ENV|   ) ([A-Z_]+)=", DOCKERFILE))
    found |= {each["name"] for manifest in manifests for one in containers(manifest) for each in one.get("env", [])}
    found |= {name for each in manifests if each["kind"] == "ConfigMap" for name in each["data"] if name.isupper()}
    found |= {name for each in secret_manifests() for name in each["stringData"] if name.isupper()}
    for path in (K8S / "base" / "pools").glob("*.json"):
        manifest = json.loads(path.read_text())["job_configuration"]["job_manifest"]
        found |= {each["name"] for each in manifest["spec"]["template"]["spec"]["containers"][0]["env"]}
    return found


PAGES = [REPOSITORY / "docs" / "how-to" / name for name in ("run-in-containers.md", "run-on-kubernetes.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_names_what_there_is(page: Path) -> None:
    """Files, build arguments, targets, variables and commands that somebody will type."""
    text = page.read_text()
    made = {"infra/.env", "infra/.secrets/", "infra/.secrets/kubernetes.yaml", "infra/k8s/iam", "infra/k8s/base"}
    files = {each.rstrip(".,:") for each in re.findall(r"\b(?:infra|tests)/[\w./*-]+", text)} - made
    arguments = set(re.findall(r"--build-arg (\w+)=", text))
    targets = set(re.findall(r"--target (\w+)", text))
    compose = (INFRA / "compose.yaml").read_text()
    ports = set(re.findall(r"`(\w+_(?:PORT|IMAGE))`", text)) - {"RUN_IMAGE"}

    assert [each for each in files if not list(REPOSITORY.glob(each))] == []
    assert arguments <= set(re.findall(r"(?m)^ARG (\w+)", DOCKERFILE))
    assert targets <= set(re.findall(r" AS (\w+)$", DOCKERFILE, re.MULTILINE))
    assert [each for each in ports if f"${{{each}:-" not in compose] == []


def test_the_page_lists_what_a_deployment_may_change() -> None:
    """A name that no template has is ignored without a word."""
    (names,) = re.findall(r"in its `job_variables`: (.*?)\. `HEADRACE", PAGES[1].read_text(), re.DOTALL)
    listed = set(re.findall(r"`(\w+)`", names))
    has = [set(json.loads(path.read_text())["variables"]["properties"]) for path in (K8S / "base" / "pools").glob("*.json")]

    assert listed <= set.union(*has)
    assert listed - {"gpus", "node_selector"} <= set.intersection(*has)
