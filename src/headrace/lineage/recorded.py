"""What was recorded with a run, against each other: its files, its tags and what dvc.lock says was read and made."""

import hashlib
from collections.abc import Iterator
from typing import Any

from headrace.dagfile import nested
from headrace.errors import DataError
from headrace.fingerprint import value_sha256
from headrace.lineage.edge import Edge, broken, fine, gone, some
from headrace.lineage.evidence import Evidence
from headrace.registry.trace import parse_yaml
from headrace.storage.dvc_objects import Objects
from headrace.storage.dvc_remote import folder_md5
from headrace.tracking.facts import OUT_TAG

TRAINING_STAGE = "train"


def kept_edges(evidence: Evidence) -> Iterator[Edge]:
    """The files that reproduce it, against the sha256 that was noted when they were stored."""
    expected = evidence.sha256
    if not expected:
        yield gone("evidence", "recorded by an earlier Headrace, without the sha256 of its files")
    for name, sha256 in sorted(expected.items()):
        if name not in evidence.files:
            yield broken(name, "it is not in the store any more")
        elif evidence.digest(name) != sha256:
            yield broken(name, f"sha256 {evidence.digest(name)[:8]} in the store, {sha256[:8]} when it was recorded")
        else:
            yield fine(name, f"sha256 {sha256[:8]}, as recorded")


def tags_edge(evidence: Evidence) -> Edge:
    """The tags of version and run against dvc.lock and environment.json."""
    train = {dep["path"]: str(dep.get("md5", "")) for dep in evidence.stages.get(TRAINING_STAGE, {}).get("deps") or []}
    wrong = [f"dep {path}" for path, md5 in evidence.deps.items() if train.get(path) != md5]
    wrong += [
        key.removeprefix("headrace.")
        for key, md5 in evidence.tags.items()
        if key.startswith(OUT_TAG) and evidence.outs.get(key.removeprefix(OUT_TAG)) != md5
    ]
    for tag, name in (("headrace.environment", "environment.json"), ("headrace.dvc.lock", "dvc.lock")):
        if tag in evidence.tags and name in evidence.files and evidence.tags[tag] != evidence.digest(name):
            wrong.append(tag.removeprefix("headrace."))
    if wrong:
        return broken("tags", f"other digests than in the recorded files: {some(wrong)}")
    run = evidence.run
    differing = [
        path for path, md5 in evidence.deps.items() if run is not None and run.tags.get(f"headrace.dep.{path}", md5) != md5
    ]
    if differing:
        return broken("tags", f"version and run were made from different {some(differing)}")
    return fine(
        "tags",
        f"{len(evidence.deps)} inputs, environment {evidence.tags.get('headrace.environment', '')[:8]}, as in the recorded files",
    )


def params_edge(evidence: Evidence) -> Edge:
    """The values that dvc.lock says were used, against params.yaml and environment.json as recorded."""
    files = {name: parse_yaml(evidence.text(name)) for name in ("params.yaml", "environment.json") if name in evidence.files}
    wrong, count = [], 0
    for stage, entry in evidence.stages.items():
        for file, values in (entry.get("params") or {}).items():
            for key, value in (values or {}).items() if file in files else ():
                count += 1
                if _at(files[file], key) != value:
                    wrong.append(f"{file}:{key} of {stage}")
    if wrong:
        return broken("params", f"dvc.lock has other values than the recorded file: {some(wrong)}")
    return fine("params", f"{count} values of params.yaml and environment.json, as in dvc.lock")


def _at(values: Any, key: str) -> Any:
    if isinstance(values, dict) and key in values:
        return values[key]
    return nested(values, key)


def suite_edge(evidence: Evidence) -> Edge:
    """The expectations as recorded, against the tag and dvc.lock."""
    names = sorted(name for name in evidence.files if name.startswith("expectations/"))
    if not names:
        return gone("suite", "no suite was recorded")
    digests = {name: evidence.digest(name) for name in names}
    found = next(iter(digests.values())) if len(digests) == 1 else value_sha256(digests)
    if found != evidence.tags.get("headrace.suite", ""):
        return broken(
            "suite", f"{names[0]} has the digest {found[:8]}, the tag says {evidence.tags.get('headrace.suite', '')[:8]}"
        )
    locked = _deps(evidence)
    for name in names:
        if locked.get(name, "") != _md5(evidence.files[name]):
            return broken("suite", f"{name} is not the one that dvc.lock says was applied")
    return fine("suite", f"{', '.join(names)} {found[:8]}, the one that dvc.lock says was applied")


def source_list_edge(evidence: Evidence) -> Edge:
    """data/sources.lock as recorded, against dvc.lock."""
    name = "data/sources.lock"
    locked = _deps(evidence).get(name, "")
    if name not in evidence.files or not locked:
        return gone("sources", "no data/sources.lock was recorded")
    if _md5(evidence.files[name]) != locked:
        return broken("sources", f"{name} is not the one that dvc.lock says was read")
    return fine("sources", f"{name} is the one that dvc.lock says was read")


def _deps(evidence: Evidence) -> dict[str, str]:
    return {dep["path"]: str(dep.get("md5", "")) for entry in evidence.stages.values() for dep in entry.get("deps") or []}


def stages_edge(evidence: Evidence, objects: Objects) -> Edge:
    """What one stage read is what another one made, or a part of it."""
    wrong, count = [], 0
    for stage, entry in evidence.stages.items():
        for dep in entry.get("deps") or []:
            path = str(dep["path"])
            if evidence.is_made(path):
                count += 1
                if str(dep.get("md5", "")) != _made(path, evidence, objects):
                    wrong.append(f"{path} of {stage}")
    if wrong:
        return broken("stages", f"read something else than what was made: {some(wrong)}")
    return fine("stages", f"{len(evidence.stages)} stages, {count} inputs are what another stage made")


def _made(path: str, evidence: Evidence, objects: Objects) -> str:
    if path in evidence.outs:
        return evidence.outs[path]
    whole = next(out for out in evidence.outs if path.startswith(f"{out}/"))
    try:
        members = objects.members(evidence.outs[whole])
    except DataError:
        return ""
    inside = path[len(whole) + 1 :]
    below = {name.removeprefix(f"{inside}/"): md5 for name, md5 in members.items() if name.startswith(f"{inside}/")}
    return folder_md5(below) if below else members.get(inside, "")


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
