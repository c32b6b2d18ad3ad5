"""Who became champion when and why, and every look at a test set: append-only JSON lines, each entry chained to the one before."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.errors import RegistryError
from headrace.fingerprint import value_sha256

Action = Literal["promote", "rollback", "look"]

GENESIS = "0" * 64
"""What the first entry has in place of a predecessor's digest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a champion, or one look: a comparison of a challenger with the champion, which changes nothing by itself."""

    sequence: int
    time: str
    """UTC, ISO 8601; for people: the order is the sequence."""
    action: Action
    model: str
    version: int
    """The champion from here on; of a look, the challenger."""
    previous_version: int | None
    """The champion until here, None for the first; of a look, the champion it was compared with."""
    package: str
    """Digest of the version's package."""
    actor: str
    reasons: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    """The comparison that led to it."""
    previous: str = GENESIS
    """Digest of the entry before."""
    digest: str = ""
    """sha256 of all of the above."""

    def sealed(self) -> "Entry":
        """The entry with its digest."""
        values = asdict(self) | {"digest": ""}
        return Entry(**(values | {"digest": value_sha256(values)}))


def read(path: Path) -> list[Entry]:
    """All entries, oldest first; a line that a crash cut short at the end was never written.

    Raises:
        RegistryError: an entry was changed, removed, added or moved; names the line.
    """
    return parse(whole_lines(path), str(path))


def whole_lines(path: Path) -> bytes:
    """The file without what a crash left of a line that was never complete; empty where there is none."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def parse(content: bytes, where: str) -> list[Entry]:
    """The entries of a ledger's lines; `where` names it in messages.

    Raises:
        RegistryError: an entry was changed, removed, added or moved; names the line.
    """
    entries: list[Entry] = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            values = json.loads(line)
            entry = Entry(**values)
            is_intact = entry.sealed().digest == entry.digest and json.dumps(values, sort_keys=True).encode() == line
        except (ValueError, TypeError):
            is_intact = False
        if not is_intact:
            raise RegistryError(f"{where}, line {number}: this entry was changed after it was written. {_ADVICE}")
        if entry.sequence != number or entry.previous != (entries[-1].digest if entries else GENESIS):
            raise RegistryError(f"{where}, line {number}: an entry before this one was removed, added or moved. {_ADVICE}")
        entries.append(entry)
    return entries


def append(
    path: Path,
    *,
    time: str,
    action: Action,
    model: str,
    version: int,
    previous_version: int | None,
    package: str,
    actor: str,
    reasons: Sequence[str] = (),
    evidence: Mapping[str, Any] | None = None,
    publish: Callable[[bytes, bytes, str], Any] | None = None,
) -> Entry:
    """Add an entry and flush it to the disk; the caller holds the lock of the ledger.

    `publish` is called first, with the ledger before and after and a line about it: what it raises keeps the entry out.

    Raises:
        RegistryError: the chain before it is broken: nothing is added to a ledger that cannot be trusted.
    """
    before = whole_lines(path)
    entries = parse(before, str(path))
    entry = Entry(
        sequence=len(entries) + 1,
        time=time,
        action=action,
        model=model,
        version=version,
        previous_version=previous_version,
        package=package,
        actor=actor,
        reasons=list(reasons),
        evidence=dict(evidence or {}),
        previous=entries[-1].digest if entries else GENESIS,
    ).sealed()
    line = json.dumps(asdict(entry), sort_keys=True).encode() + b"\n"
    if publish is not None:
        publish(before, before + line, f"{model} version {version}: {action}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(len(before))
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return entry


def changes(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that made a version champion."""
    return [entry for entry in entries if entry.action != "look"]


def champions(entries: Sequence[Entry], model: str) -> list[int]:
    """Champions of a model that are still standing, the current one last: a promotion adds one, a rollback takes one off."""
    standing: list[int] = []
    for entry in changes(entries):
        if entry.model != model:
            continue
        if entry.action == "rollback":
            while standing and standing[-1] != entry.version:
                standing.pop()
        if not standing or standing[-1] != entry.version:
            standing.append(entry.version)
    return standing


_ADVICE = "Restore the file from a copy; if you know why it differs, move it away and the next promotion starts a new one."
