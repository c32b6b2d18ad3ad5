"""dvc.yaml as text: its stanzas with `${section.key}` filled in from params.yaml, without importing DVC.

For what needs one stage's own stanza cheaply, as the stage runner does. The graph itself, with foreach and matrix, is DVC's:
flow/dag.py.
"""

import fcntl
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError
from headrace.fingerprint import file_sha256, tree_sha256, value_sha256
from headrace.params import read_yaml

TEMPLATE = re.compile(r"\$\{\s*([A-Za-z0-9_.-]+)\s*\}")


@dataclass(frozen=True)
class Stanza:
    """One stage of dvc.yaml, templates filled in."""

    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    """Keys of params.yaml."""
    environment: tuple[str, ...]
    """Keys of environment.json: the packages that can change the stage's outputs."""
    outs: tuple[str, ...]
    """outs, metrics and plots."""


def read_stanzas(project: Path) -> dict[str, Stanza]:
    """Every plain stage of the project's dvc.yaml; foreach and matrix stages are left out.

    Raises:
        ConfigError: a template names a key that params.yaml does not have.
    """
    declared = read_yaml(project / "dvc.yaml").get("stages") or {}
    values = read_yaml(project / "params.yaml")
    return {name: _stanza(name, body, values) for name, body in declared.items() if "cmd" in body}


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Replace every `${a.b}` in `text`. Raises ConfigError when params.yaml has no such key."""

    def value(match: re.Match[str]) -> str:
        node: Any = values
        for key in match.group(1).split("."):
            if not isinstance(node, Mapping) or key not in node:
                raise ConfigError(
                    f"dvc.yaml uses ${{{match.group(1)}}}, and params.yaml has no such key. Add it, or mend dvc.yaml."
                )
            node = node[key]
        return str(node)

    return TEMPLATE.sub(value, text)


def nested(values: Any, key: str) -> Any:
    """The value of a dotted key of a params file, as DVC reads it; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _stanza(name: str, body: Mapping[str, Any], values: Mapping[str, Any]) -> Stanza:
    def paths(key: str) -> list[str]:
        return [fill(next(iter(item)) if isinstance(item, Mapping) else item, values) for item in body.get(key) or []]

    params: list[str] = []
    environment: list[str] = []
    for item in body.get("params") or []:
        if isinstance(item, Mapping):
            for file, keys in item.items():
                (environment if file == "environment.json" else params).extend(fill(str(key), values) for key in keys or [])
        else:
            params.append(item)
    cmd = body["cmd"]
    return Stanza(
        name=name,
        cmd=fill(cmd if isinstance(cmd, str) else " && ".join(cmd), values),
        deps=tuple(paths("deps")),
        params=tuple(params),
        environment=tuple(environment),
        outs=tuple(paths("outs") + paths("metrics") + paths("plots")),
    )


def stage_fingerprint(project: Path, stanza: Stanza, params: Any, made: Mapping[str, str]) -> str:
    """Digest of everything a stage's result depends on: params, inputs, code, packages. Hex sha256.

    Inputs that another stage makes count by their digest in `made`, see `locked_outs` (a part of an output by that of the whole),
    other files by their contents.
    """
    inputs = {}
    for dep in stanza.deps:
        path = project / dep
        output = next((out for out in made if Path(dep).is_relative_to(out)), None)
        if output is not None:
            inputs[dep] = made[output]
        elif path.is_dir():
            files = (file for file in path.rglob("*") if "__pycache__" not in file.parts)
            inputs[dep] = tree_sha256(files, root=path)
        elif path.exists():
            inputs[dep] = file_sha256(path)
    packages = json.loads((project / "environment.json").read_text(encoding="utf-8")) if stanza.environment else {}
    return value_sha256(
        {
            "stage": stanza.name,
            "params": params,
            "inputs": inputs,
            "environment": {name: nested(packages, name) for name in stanza.environment},
        }
    )


def locked_outs(project: Path) -> dict[str, str]:
    """DVC's digest of every output in dvc.lock, by path; empty when there is no lock."""
    lock = project / "dvc.lock"
    if not lock.exists():
        return {}
    with _while_dvc_writes_nothing(project):
        stages = read_yaml(lock).get("stages") or {}
    return {out["path"]: str(out.get("md5") or out.get("etag")) for entry in stages.values() for out in entry.get("outs") or []}


def locked_deps(project: Path, stage: str) -> dict[str, str]:
    """DVC's digest of every file and folder that a stage in dvc.lock was made from, by path; empty when it has no entry."""
    lock = project / "dvc.lock"
    if not lock.exists():
        return {}
    with _while_dvc_writes_nothing(project):
        entry = (read_yaml(lock).get("stages") or {}).get(stage) or {}
    return {dep["path"]: str(dep.get("md5") or dep.get("etag")) for dep in entry.get("deps") or []}


@contextmanager
def _while_dvc_writes_nothing(project: Path) -> Iterator[None]:
    # DVC rewrites dvc.lock in place, under its repository lock: a stage that starts while another one ends could read half of it.
    # DVC tries again when it finds the lock taken, so a reader may hold it for a moment.
    try:
        held = (project / ".dvc" / "tmp" / "lock").open("rb")
    except FileNotFoundError:
        yield  # DVC has never worked here
        return
    with held:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield
