"""What tests of infra/ share: its files read as their tools read them, and linters in an environment of their own."""

import copy
import fnmatch
import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from ruamel.yaml import YAML

from headrace.storage.locks import file_lock
from tests.projects import REPOSITORY
from tests.services import NO_INDEX

INFRA = REPOSITORY / "infra"
K8S = INFRA / "k8s"
KUBERNETES = "v1.34.0"
OVERLAYS = ("local", "production")


def documents(text: str) -> list[Any]:
    """The documents of a YAML text, anchors and merge keys resolved."""
    return [each for each in YAML(typ="safe", pure=True).load_all(text) if each is not None]


# ---- linters


def linters() -> Path:
    """The environment of infra/lint.lock, made once a machine; the test is skipped where there is no package index to make it from."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "headrace"
    folder, lock = cache / "lint-environment", INFRA / "lint.lock"
    mark, wanted = folder / "headrace-lint.lock", f"# Python {sys.version_info[:2]}\n{lock.read_text()}"
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / "lint-environment.making"):
        if mark.exists() and mark.read_text() == wanted:
            return folder
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(lock)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0 and any(sign in done.stderr for sign in NO_INDEX):
                pytest.skip(f"the linters of infra/ need a package index once: {done.stderr[-300:]}")
            assert done.returncode == 0, done.stderr[-2000:]
        mark.write_text(wanted)
    return folder


def lint(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a linter on files."""
    return subprocess.run(
        [linters() / "bin" / tool, *arguments], capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=120
    )


def packaged(pattern: str) -> Path:
    """A file that a package of the linters' environment ships."""
    (found,) = linters().glob(f"lib/python*/site-packages/{pattern}")
    return found


@functools.cache
def compose_schema() -> Any:
    """The Compose specification's own schema."""
    return json.loads(packaged("check_jsonschema/builtin_schemas/vendor/compose-spec.json").read_bytes())


@functools.cache
def kubernetes_validator(kind: str, api_version: str) -> Any:
    """Of one kind, from the API server's own description, unknown fields refused. Raises FileNotFoundError: there is no such kind."""
    folder = packaged("kubernetes_validate/kubernetes-json-schema") / f"{KUBERNETES}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = json.loads((folder / f"{kind.lower()}-{group}.json").read_bytes())
    definitions = Resource.from_contents(_definitions(folder), default_specification=DRAFT202012)
    return jsonschema.Draft202012Validator(schema, registry=Registry().with_resource("_definitions.json", definitions))


@functools.cache
def _definitions(folder: Path) -> Any:
    return json.loads((folder / "_definitions.json").read_bytes())


def schema_faults(manifest: Mapping[str, Any]) -> list[str]:
    """What the API server would refuse about a manifest."""
    return list(_schema_faults(json.dumps(manifest)))


@functools.cache  # a broken overlay differs from the whole one in one manifest
def _schema_faults(text: str) -> tuple[str, ...]:
    manifest = json.loads(text)
    try:
        validator = kubernetes_validator(manifest["kind"], manifest["apiVersion"])
    except FileNotFoundError:
        return (f"{manifest['kind']} of {manifest['apiVersion']} is unknown to Kubernetes {KUBERNETES}",)
    where = f"{manifest['kind']}/{manifest['metadata'].get('name')}"
    return tuple(f"{where}: {'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(manifest))


# ---- compose.yaml

VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?P<rule>:[-?])?(?P<rest>[^}]*)\}")


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with its ${VARIABLES}; KeyError: a required one is missing."""
    if isinstance(value, Mapping):
        return {key: interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        found = variables.get(match["name"], "")
        if not found and match["rule"] == ":?":
            raise KeyError(match["name"])
        return found or (match["rest"] if match["rule"] == ":-" else "")

    return VARIABLE.sub(fill, value)


def script(path: str) -> ModuleType:
    """A script of infra/, imported."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, INFRA / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def secret_manifests() -> list[dict[str, Any]]:
    """The Secrets that infra/passwords.py writes."""
    passwords = script("passwords.py")
    made: list[dict[str, Any]] = passwords.kubernetes(passwords.complete({}))
    return made


# ---- kustomize

CLUSTER_KINDS = {"Namespace", "ClusterRole", "ClusterRoleBinding", "StorageClass"}
KNOWN_KEYS = {"apiVersion", "kind", "namespace", "resources", "images", "patches", "configMapGenerator", "generatorOptions"}


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of a folder, as far as infra/k8s uses kustomize; an unknown key is an error.

    test_our_kustomize_is_kubectls compares it with the real one.
    """
    (file,) = documents((folder / "kustomization.yaml").read_text())
    assert file.keys() <= KNOWN_KEYS, file.keys() - KNOWN_KEYS
    found: list[dict[str, Any]] = []
    for name in file.get("resources", []):
        path = folder / name
        found += kustomized(path) if path.is_dir() else documents(path.read_text())
    for generator in file.get("configMapGenerator", []):
        data = {Path(name).name: (folder / name).read_text() for name in generator["files"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data})
    for each in found:
        if "namespace" in file and each["kind"] not in CLUSTER_KINDS:
            each["metadata"]["namespace"] = file["namespace"]
    for patch in file.get("patches", []):
        target = patch["target"]
        meant = [each for each in found if each["kind"] == target["kind"] and each["metadata"]["name"] == target["name"]]
        assert meant, f"{folder.name}: nothing is {target}"
        for each in meant:
            for operation in documents(patch["patch"])[0]:
                apply(each, operation)
    for image in file.get("images", []):
        for container in (one for each in found for one in containers(each)):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    return found


def apply(document: Any, operation: Mapping[str, Any]) -> None:
    """One operation of RFC 6902: add, replace or remove."""
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].strip("/").split("/"))
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    key = int(last) if isinstance(document, list) else last
    if operation["op"] != "add":
        document[key]  # it must be there
    if operation["op"] == "remove":
        del document[key]
    else:
        document[key] = copy.deepcopy(operation["value"])


def pod_of(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod template of a workload."""
    if manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
        return dict(manifest["spec"]["template"])
    return None


def containers(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every container that a workload starts."""
    if (pod := pod_of(manifest)) is not None:
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]


def named(manifests: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Manifests of one kind, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector means these labels."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or []:
        assert rule["operator"] == "In", rule
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def may_connect(policies: Iterable[Mapping[str, Any]], source: str, target: str, port: int) -> bool:
    """Whether a pod of component `source` reaches one of `target` in the namespace on a TCP port, as NetworkPolicies say."""
    rules = list(policies)
    return _side(rules, "Egress", source, target, port) and _side(rules, "Ingress", target, source, port)


def _side(policies: list[Mapping[str, Any]], direction: str, here: str, there: str, port: int) -> bool:
    labels = {key: {"app.kubernetes.io/component": value} for key, value in {"here": here, "there": there}.items()}
    ours = [
        each["spec"] for each in policies
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], labels["here"])
    ]  # fmt: skip
    peers = "to" if direction == "Egress" else "from"

    def grants(rule: Mapping[str, Any]) -> bool:
        ports = rule.get("ports")
        if ports and not any(each.get("protocol", "TCP") == "TCP" and each["port"] == port for each in ports):
            return False
        if not rule.get(peers):
            return True
        return any(
            "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels["there"])
            for peer in rule[peers]
        )

    return not ours or any(grants(rule) for spec in ours for rule in spec.get(direction.lower()) or [])


# ---- who may do what in the bucket


def iam_allows(policy: Mapping[str, Any], action: str, key: str | None, *, bucket: str = "headrace") -> bool:
    """Whether a policy lets its holder do `s3:<action>` with a key, or list under it, over TLS; None: list without saying where."""
    meant = [each for each in policy["Statement"] if _applies(each, action, key, bucket)]
    return bool(meant) and all(each["Effect"] == "Allow" for each in meant)


def _applies(statement: Mapping[str, Any], action: str, key: str | None, bucket: str) -> bool:
    is_listing = action == "ListBucket"
    resource = f"arn:aws:s3:::{bucket}" if is_listing else f"arn:aws:s3:::{bucket}/{key}"
    facts = {"aws:SecureTransport": "true", **({"s3:prefix": key} if is_listing and key is not None else {})}
    return (
        any(fnmatch.fnmatchcase(f"s3:{action}", each) for each in statement["Action"])
        and any(fnmatch.fnmatchcase(resource, each) for each in statement["Resource"])
        and all(
            _holds(test, facts.get(name), values if isinstance(values, list) else [values])
            for test, wanted in statement.get("Condition", {}).items()
            for name, values in wanted.items()
        )
    )


def _holds(test: str, fact: str | None, patterns: list[str]) -> bool:
    assert test in {"StringLike", "StringLikeIfExists", "Bool"}, test
    if fact is None:
        return test.endswith("IfExists")
    return any(fnmatch.fnmatchcase(fact, each) for each in patterns)


def seaweed_allows(actions: Iterable[str], action: str, key: str, *, bucket: str = "headrace") -> bool:
    """The same in the words of SeaweedFS 4.44 (its Identity.CanDo)."""
    meant = {"GetObject": "Read", "PutObject": "Write", "DeleteObject": "Write", "ListBucket": "List"}[action]
    return any(
        each in {"Admin", meant} or fnmatch.fnmatchcase(f"{meant}:{bucket}/{key}", each) or each == f"{meant}:{bucket}"
        for each in actions
    )


# ---- what programs and settings there are

OTHER_VARIABLES = {
    # Python, the shell, and whom we tell nothing
    "HOME", "PATH", "TMPDIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "DO_NOT_TRACK", "DVC_NO_ANALYTICS", "GX_ANALYTICS_ENABLED",
    "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR",
    # botocore
    "AWS_EC2_METADATA_DISABLED",
    # mlflow.server.auth, which has no list
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    # prefect-kubernetes 0.8 (settings.py), which infra/kubernetes.lock pins
    "PREFECT_INTEGRATIONS_KUBERNETES_CLUSTER_UID",
    "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
    "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME",
    "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY",
    # the postgres image, and our own script in it
    "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS", "PGDATA", "MLFLOW_DATABASE_PASSWORD", "PREFECT_DATABASE_PASSWORD",
    # our own make_pools.py
    "RUN_IMAGE", "RUN_IMAGE_GPU",
    # NVIDIA's container runtime
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
}  # fmt: skip
"""Variables of infra/ that no list of settings has."""


def ask_programs(commands: list[list[str]]) -> tuple[list[str], set[str]]:
    """What MLflow and Prefect say to each command ('' for nothing), and the variables they read."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.infra_commands"],
        input=json.dumps(commands), capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    return answer["faults"], set(answer["variables"])


def our_variables() -> set[str]:
    """Every variable that settings.py reads."""
    from headrace.settings import Settings

    found = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias or f"HEADRACE_{name.upper()}"
        found |= {alias} if isinstance(alias, str) else {str(each) for each in getattr(alias, "choices", ())}
    return found


def programs_of(words: list[str]) -> list[str] | None:
    """The command of MLflow or Prefect in a container's command; Python's call of MLflow's is one too."""
    if words[:2] == ["python", "-c"] and "mlflow.cli" in words[2]:
        call = re.search(r"cli\((\[.*\])\)", words[2])
        assert call is not None
        return ["mlflow", *(each.strip(" '") for each in call[1].strip("[]").replace("os.environ", "sqlite:///x").split(","))]
    return words if words[:1] in (["mlflow"], ["prefect"]) else None
