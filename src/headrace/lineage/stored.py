"""What a model was made from and what its stages made: the bytes themselves, hashed again."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.errors import DataError, HeadraceError
from headrace.fingerprint import file_md5, file_sha256
from headrace.lineage.edge import Edge, broken, fine, gone, some
from headrace.lineage.evidence import Evidence
from headrace.registry.trace import pinned
from headrace.settings import Settings
from headrace.sources.bundled import bundled_file, locate
from headrace.sources.store import Store
from headrace.storage.dvc_objects import Objects

PACKAGE = "models/package"


def source_edges(settings: Settings, evidence: Evidence) -> Iterator[Edge]:
    """The files of each source that are on this machine, hashed again."""
    for entry in pinned(evidence.text("data/sources.lock")):
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
            yield broken(name, f"other bytes than were collected (sha256): {some(wrong)}")
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
            return locate(bundled_file(rest), Store(settings.downloads))
        except HeadraceError:
            return None
    if kind == "file":
        path = settings.project / str(file["name"])
        return path if path.is_file() else None
    return next(
        (path for path in sorted((settings.downloads / "sha256" / str(file["sha256"])).glob("*")) if path.is_file()), None
    )


def output_edges(evidence: Evidence, objects: Objects, package: Path | None) -> Iterator[Edge]:
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
        return broken(path, f"({stage}) {len(wrong)} of {len(members) + 1} objects: {some(wrong)}")
    if package is not None:
        present = {each.relative_to(package).as_posix(): file_md5(each) for each in package.rglob("*") if each.is_file()}
        if present != members:
            changed = sorted(name for name in {*present, *members} if present.get(name) != members.get(name))
            return broken(path, f"({stage}) the registered package is not what it made: {some(changed)}")
    size = sum(each.size for each in found)
    places = " and ".join(sorted({each.where for each in found}))
    same = ", the registered package file by file" if package is not None else ""
    return fine(
        path, f"({stage}) {len(found)} object{'s' if len(found) > 1 else ''}, {size:,} bytes hashed in the {places}{same}"
    )
