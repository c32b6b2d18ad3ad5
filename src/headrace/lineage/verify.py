"""Every edge from a model back to its sources, read and hashed again; nothing is believed because it was right once.

An edge is `ok`, `broken`, or `gone`: what it led to is not on this machine or was never recorded, so it cannot be hashed again.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from headrace.errors import DataError, HeadraceError, RegistryError
from headrace.fingerprint import file_sha256, value_sha256
from headrace.lineage.code import code_edge, folder_md5
from headrace.lineage.edge import Edge, broken, fine, gone
from headrace.lineage.evidence import Evidence, gather
from headrace.registry import ledger
from headrace.registry.tags import CHAMPION, PACKAGE_TAG
from headrace.registry.trace import parse_yaml
from headrace.settings import Settings
from headrace.sources.bundled import bundled_file, locate
from headrace.storage.dvc_objects import Objects
from headrace.storage.dvc_remote import file_md5
from headrace.tracking.facts import FINGERPRINT_TAG, SHA256_TAG
from headrace.tracking.live import store_of
from headrace.tracking.reading import VersionRecord

TRAINING_STAGE, PACKAGE = "train", "models/package"
MAX_NAMED = 3


def verify(settings: Settings, what: str) -> Iterator[Edge]:
    """Walk the chain of a model or run, named as for `headrace trace`, from its registered package to its sources.

    Raises:
        ParamsError: nothing of that name.
        EngineError: MLflow does not answer.
    """
    evidence = gather(settings, what)
    with tempfile.TemporaryDirectory(prefix="headrace-verify-") as temporary:
        package = None
        if evidence.version is not None:
            edge, package = _package(settings, evidence.version, Path(temporary))
            yield edge
            yield _ledger(settings, evidence.version)
        yield _run(evidence, package)
        yield from _kept(evidence)
        if not evidence.stages:
            yield (broken if _promises(evidence, "dvc.lock") else gone)(
                "dvc.lock", "no dvc.lock was kept, so nothing says what was read"
            )
            return
        objects = Objects(settings)
        parts: dict[str, Callable[[], Iterable[Edge]]] = {
            "tags": lambda: [_tags(evidence)],
            "params": lambda: [_params(evidence)],
            "suite": lambda: [_suite(evidence)],
            "stages": lambda: [_links(evidence, objects)],
            "code": lambda: [code_edge(settings.project, evidence)],
            "sources": lambda: [_source_list(evidence), *_sources(settings, evidence)],
            "outputs": lambda: _outputs(evidence, objects, package),
        }
        for name, look in parts.items():
            try:
                yield from look()
            except (AttributeError, KeyError, TypeError, ValueError) as error:  # a kept file that was changed into something else
                yield broken(name, f"what was recorded cannot be understood: {error!r}")


def _promises(evidence: Evidence, name: str) -> bool:
    return f"{SHA256_TAG}{name}" in evidence.tags


def _package(settings: Settings, version: VersionRecord, folder: Path) -> tuple[Edge, Path | None]:
    """The registered package, downloaded anew: each file against the manifest, the manifest against the version's key."""
    from headrace.registry.versions import fetch
    from headrace.tracking.store import connect

    store = store_of(settings)
    client = connect(store.uri)
    try:
        package = fetch(client, client.get_model_version(version.model, str(version.version)), folder)
    except HeadraceError as error:
        return broken("package", str(error)), None
    except Exception as error:  # noqa: BLE001  # whatever a store raises for a file that it does not have
        return broken("package", f"the store does not give it: {' '.join(str(error).split())[:200]}"), None
    count = sum(1 for path in package.folder.rglob("*") if path.is_file())
    if package.fingerprint != version.tags.get(FINGERPRINT_TAG, ""):
        return broken("package", "its model.json has another fingerprint than the version"), None
    return fine("package", f"{count} files, digest {package.digest[:8]} is the version's key {PACKAGE_TAG}"), package.folder


def _ledger(settings: Settings, version: VersionRecord) -> Edge:
    try:
        entries = ledger.read(settings.ledger)
    except RegistryError as error:
        return broken("ledger", str(error))
    own = [entry for entry in ledger.changes(entries) if entry.model == version.model]
    key = version.tags.get(PACKAGE_TAG, "")
    for entry in own:
        if entry.version == version.version and entry.package != key:
            return broken(
                "ledger",
                f"entry {entry.sequence} made version {entry.version} champion with another package: {entry.package[:8]}",
            )
    standing = ledger.champions(entries, version.model)
    is_champion = CHAMPION in version.aliases
    if own and is_champion != (standing[-1:] == [version.version]):
        said = f"version {standing[-1]} is champion" if standing else "there is no champion"
        return broken("ledger", f"it says that {said}; the registry {'names this one' if is_champion else 'names another one'}")
    if is_champion and not own:
        return gone("ledger", "the entry that made it champion is not in the ledger of this machine")
    return fine(
        "ledger",
        f"{len(entries)} entries, each with the digest of the one before; {'champion' if is_champion else 'not champion'} in both",
    )


def _run(evidence: Evidence, package: Path | None) -> Edge:
    if evidence.run is None:
        return broken("run", "it is not in the store any more")
    run, version = evidence.run, evidence.version
    own = run.tags.get(FINGERPRINT_TAG, "")
    if not own:
        return broken("run", f"{run.run_id[:8]} has no {FINGERPRINT_TAG}: it was not recorded by Headrace")
    if version is not None:
        if version.tags.get("headrace.run", run.run_id) != run.run_id:
            return broken("run", f"the version names {version.tags['headrace.run'][:8]}, the registry {run.run_id[:8]}")
        if version.tags.get(FINGERPRINT_TAG) != own:
            return broken("run", f"its fingerprint is {own[:8]}, that of the version {version.tags.get(FINGERPRINT_TAG, '')[:8]}")
    seen = "package, version and run" if package else "version and run" if version else "run"
    return fine("run", f"{run.run_id[:8]}: {seen} have the fingerprint {own[:8]}")


def _kept(evidence: Evidence) -> Iterator[Edge]:
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


def _tags(evidence: Evidence) -> Edge:
    """The tags of version and run against dvc.lock and environment.json."""
    train = {dep["path"]: str(dep.get("md5", "")) for dep in evidence.stages.get(TRAINING_STAGE, {}).get("deps") or []}
    wrong = [f"dep {path}" for path, md5 in evidence.deps.items() if train.get(path) != md5]
    out = "headrace.out."
    wrong += [
        key.removeprefix("headrace.")
        for key, md5 in evidence.tags.items()
        if key.startswith(out) and evidence.outs.get(key.removeprefix(out)) != md5
    ]
    for tag, name in (("headrace.environment", "environment.json"), ("headrace.dvc.lock", "dvc.lock")):
        if tag in evidence.tags and name in evidence.files and evidence.tags[tag] != evidence.digest(name):
            wrong.append(tag.removeprefix("headrace."))
    if wrong:
        return broken("tags", f"other digests than in the recorded files: {_some(wrong)}")
    run = evidence.run
    differing = [
        path for path, md5 in evidence.deps.items() if run is not None and run.tags.get(f"headrace.dep.{path}", md5) != md5
    ]
    if differing:
        return broken("tags", f"version and run were made from different {_some(differing)}")
    return fine(
        "tags",
        f"{len(evidence.deps)} inputs, environment {evidence.tags.get('headrace.environment', '')[:8]}, as in the recorded files",
    )


def _params(evidence: Evidence) -> Edge:
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
        return broken("params", f"dvc.lock has other values than the recorded file: {_some(wrong)}")
    return fine("params", f"{count} values of params.yaml and environment.json, as in dvc.lock")


def _at(values: Any, key: str) -> Any:
    if isinstance(values, dict) and key in values:
        return values[key]
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _suite(evidence: Evidence) -> Edge:
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


def _deps(evidence: Evidence) -> dict[str, str]:
    return {dep["path"]: str(dep.get("md5", "")) for entry in evidence.stages.values() for dep in entry.get("deps") or []}


def _links(evidence: Evidence, objects: Objects) -> Edge:
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
        return broken("stages", f"read something else than what was made: {_some(wrong)}")
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


def _source_list(evidence: Evidence) -> Edge:
    name = "data/sources.lock"
    locked = _deps(evidence).get(name, "")
    if name not in evidence.files or not locked:
        return gone("sources", "no data/sources.lock was recorded")
    if _md5(evidence.files[name]) != locked:
        return broken("sources", f"{name} is not the one that dvc.lock says was read")
    return fine("sources", f"{name} is the one that dvc.lock says was read")


def _sources(settings: Settings, evidence: Evidence) -> Iterator[Edge]:
    for entry in parse_yaml(evidence.text("data/sources.lock")).get("sources", []):
        files = entry["files"]
        name = f"source {entry['source'].get('name') or entry['source'].get('dataset')}"
        wrong, missing = [], []
        for file in files:
            path = _place(settings, file)
            if path is None:
                missing.append(file["name"])
            elif file_sha256(path) != file["sha256"]:
                wrong.append(str(path))
        if wrong:
            yield broken(name, f"other bytes than were collected (sha256): {_some(wrong)}")
        elif missing:
            yield gone(
                name, f"{len(missing)} of {len(files)} files are not on this machine; what was collected of them is data/raw"
            )
        else:
            yield fine(name, f"{len(files)} file{'s' if len(files) > 1 else ''} read again, sha256 as in sources.lock")


def _place(settings: Settings, file: dict[str, Any]) -> Path | None:
    """Where a source's file is on this machine."""
    kind, _, rest = str(file["url"]).partition(":")
    if kind == "bundled":
        try:
            return locate(bundled_file(rest))
        except HeadraceError:
            return None
    if kind == "file":
        path = settings.project / str(file["name"])
        return path if path.is_file() else None
    return next(
        (path for path in sorted((settings.downloads / "sha256" / str(file["sha256"])).glob("*")) if path.is_file()), None
    )


def _outputs(evidence: Evidence, objects: Objects, package: Path | None) -> Iterator[Edge]:
    """The outputs of all stages: every object in the cache, else in the remote, hashed again."""
    for stage, entry in evidence.stages.items():
        for out in entry.get("outs") or []:
            path, md5 = str(out["path"]), str(out.get("md5", ""))
            if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5):
                continue
            yield _output(path, stage, md5, objects, package if path == PACKAGE else None)


def _output(path: str, stage: str, md5: str, objects: Objects, package: Path | None) -> Edge:
    try:
        members = objects.members(md5) if md5.endswith(".dir") else {}
    except DataError as error:
        return broken(path, f"({stage}) {error}")
    wrong, found = [], []
    for name, each in {"": md5, **members}.items():
        try:
            found.append(objects.hash(each))
        except DataError as error:
            wrong.append(f"{name or path}: {error}")
    if wrong:
        return broken(path, f"({stage}) {len(wrong)} of {len(members) + 1} objects: {_some(wrong)}")
    if package is not None:
        present = {each.relative_to(package).as_posix(): file_md5(each) for each in package.rglob("*") if each.is_file()}
        if present != members:
            changed = sorted(name for name in {*present, *members} if present.get(name) != members.get(name))
            return broken(path, f"({stage}) the registered package is not what it made: {_some(changed)}")
    size = sum(each.size for each in found)
    places = " and ".join(sorted({each.where for each in found}))
    same = ", the registered package file by file" if package is not None else ""
    return fine(
        path, f"({stage}) {len(found)} object{'s' if len(found) > 1 else ''}, {size:,} bytes hashed in the {places}{same}"
    )


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _some(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
