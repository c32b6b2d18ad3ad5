"""What was kept of a run or a version: the files that reproduce it, the run's tags, the version's tags."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from headrace.errors import ConfigError
from headrace.registry.trace import find, parse_yaml
from headrace.settings import Settings
from headrace.tracking.evidence import PROVENANCE
from headrace.tracking.facts import DEP_TAG, SHA256_TAG
from headrace.tracking.live import store_of
from headrace.tracking.reading import Reader, RunRecord, VersionRecord, open_reader

FILES = ("dvc.lock", "dvc.yaml", "params.yaml", "data/sources.lock", "environment.json", "changes.diff")
"""What every project has; runs recorded before there were sha256 tags have these."""


@dataclass(frozen=True)
class Evidence:
    """All that a registry keeps about one trained model, read once."""

    run: RunRecord | None
    version: VersionRecord | None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Name to content, as it was stored."""

    @property
    def title(self) -> str:
        """How a person names it."""
        if self.version is not None:
            return f"{self.version.model}/{self.version.version}"
        return f"run {self.run.run_id[:8]}" if self.run else "?"

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the version, else of the run."""
        if self.version is not None:
            return self.version.tags
        return self.run.tags if self.run is not None else {}

    @property
    def commit(self) -> str:
        """The commit whose code was used."""
        return self.tags.get("headrace.git.commit", "")

    @property
    def is_dirty(self) -> bool:
        """Whether the code had changes that no commit has."""
        return self.tags.get("headrace.git.dirty", "") == "true"

    @property
    def sha256(self) -> dict[str, str]:
        """What the files hashed to when they were stored."""
        return {key.removeprefix(SHA256_TAG): value for key, value in self.tags.items() if key.startswith(SHA256_TAG)}

    @property
    def deps(self) -> dict[str, str]:
        """DVC's digest of each dependency of the training."""
        return {key.removeprefix(DEP_TAG): value for key, value in self.tags.items() if key.startswith(DEP_TAG)}

    @cached_property
    def stages(self) -> dict[str, Any]:
        """Entries of the recorded dvc.lock."""
        return dict(parse_yaml(self.text("dvc.lock")).get("stages") or {})

    @cached_property
    def outs(self) -> dict[str, str]:
        """DVC's digest of each output, by path."""
        return {out["path"]: str(out.get("md5", "")) for entry in self.stages.values() for out in entry.get("outs") or []}

    def is_made(self, path: str) -> bool:
        """Whether a path is an output of a stage, or lies in one."""
        return any(path == out or path.startswith(f"{out}/") for out in self.outs)

    def text(self, name: str) -> str:
        """A kept file, '' when there is none."""
        return self.files.get(name, b"").decode("utf-8", "replace")

    def digest(self, name: str) -> str:
        """sha256 of a kept file, '' when there is none."""
        return hashlib.sha256(self.files[name]).hexdigest() if name in self.files else ""


def gather(settings: Settings, what: str) -> Evidence:
    """Read what was kept about a model or run, named as for `headrace trace`.

    Raises:
        ParamsError: nothing of that name.
        EngineError: MLflow does not answer.
    """
    reader = open_reader(store_of(settings).uri)
    run, version = find(reader, what)
    tags = version.tags if version is not None else run.tags if run is not None else {}
    names = sorted({*FILES, *(key.removeprefix(SHA256_TAG) for key in tags if key.startswith(SHA256_TAG))})
    found = {name: content for name in names if (content := _read(reader, run, version, name)) is not None}
    return Evidence(run, version, found)


def _read(reader: Reader, run: RunRecord | None, version: VersionRecord | None, name: str) -> bytes | None:
    content = reader.version_file(version, f"{PROVENANCE}/{name}") if version is not None else None
    is_own = version is not None and f"{SHA256_TAG}{name}" in version.tags
    if content is None and run is not None and not is_own:  # a version that has lost its own is not mended by the run's
        content = reader.run_file(run, f"{PROVENANCE}/{name}")
    return content


def recorded(evidence: Evidence) -> RunRecord:
    """The run, which must be there and recorded by Headrace.

    Raises:
        ConfigError: it was deleted, or keeps no dvc.lock.
    """
    if evidence.run is None:
        raise ConfigError(f"{evidence.title}: its run is not in this store any more, so nothing says what it was made from.")
    if not evidence.stages:
        raise ConfigError(
            f"{evidence.title} keeps no dvc.lock: it was not recorded by `headrace run`. `headrace trace` names others."
        )
    return evidence.run
