"""Make a version champion, or the one before it again: ledger first, then the alias, and a mark when both are done."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import RegistryError
from headrace.registry import ledger
from headrace.registry.publishing import SharedLedger, decide, publisher
from headrace.registry.tags import CHAMPION, DONE_TAG, PACKAGE_TAG
from headrace.registry.versions import fetch, version_of
from headrace.tracking.runs import Store
from headrace.tracking.store import check, connect, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def rollback(
    store: Store,
    *,
    model: str,
    path: Path,
    cache: Path,
    actor: str,
    reason: str = "",
    to: int | None = None,
    shared: SharedLedger | None = None,
) -> ledger.Entry:
    """Make the champion before this one champion again (or version `to`), after verifying its package.

    Args:
        store: of the registry.
        model: registered name.
        path: of the ledger.
        cache: folder of downloaded packages on this machine.
        actor: who asks.
        reason: in the words of who asks.
        to: version, when it is not the last champion before this one.
        shared: the ledger on the state branch, of which `path` is the copy here.

    Raises:
        RegistryError: there is no earlier champion, its package cannot be trusted, or the state branch refuses the entry.
        EngineError: MLflow does not answer.
    """
    check(store.uri)
    client = connect(store.uri)

    def attempt() -> ledger.Entry:
        finish_interrupted(client, path, model)
        current = version_of(client, model, CHAMPION)
        if current is None:
            raise RegistryError(f"Model {model} has no champion, so there is nothing to roll back. `headrace promote` makes one.")
        standing = [each for each in ledger.champions(ledger.read(path), model) if each != int(current.version)]
        target = to if to is not None else (standing[-1] if standing else None)
        if target is None:
            raise RegistryError(
                f"Version {current.version} is the only champion {model} has had, says {path}. Name a version: "
                f'`headrace rollback --to N --reason "..."`.'
            )
        if target == int(current.version):
            raise RegistryError(f"Version {target} is the champion of {model} already. Name another: `headrace history`.")
        version = _existing(client, model, target)
        fetch(client, version, cache)
        reasons = [reason] if reason else []
        return crown(client, path, version, current, "rollback", actor, reasons=reasons, evidence={}, shared=shared)

    with service_errors(store.uri):
        return decide(path, shared, attempt)


def history(path: Path, model: str | None = None) -> list[ledger.Entry]:
    """Changes of champions in the ledger, of one model or of all, oldest first."""
    return [entry for entry in ledger.changes(ledger.read(path)) if model in (None, entry.model)]


def crown(
    client: "MlflowClient",
    path: Path,
    version: "ModelVersion",
    previous: "ModelVersion | None",
    action: ledger.Action,
    actor: str,
    *,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
    shared: SharedLedger | None = None,
) -> ledger.Entry:
    """Make a version champion; the caller holds the lock of the ledger."""
    entry = ledger.append(
        path,
        publish=publisher(shared),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        action=action,
        model=version.name,
        version=int(version.version),
        previous_version=int(previous.version) if previous is not None else None,
        package=version.tags.get(PACKAGE_TAG, ""),
        actor=actor,
        reasons=reasons,
        evidence=evidence,
    )
    _set_champion(client, entry)
    return entry


def finish_interrupted(client: "MlflowClient", path: Path, model: str) -> None:
    """Set the alias of an entry whose process was killed before it could; the caller holds the lock of the ledger."""
    own = history(path, model)
    if not own:
        return
    last = own[-1]
    # The registry may be another one than the entry was made for: a version it does not have is nothing to finish.
    versions = {int(each.version): each for each in client.search_model_versions(f"name = '{model}'")}
    version = versions.get(last.version)
    if version is None or version.tags.get(PACKAGE_TAG) != last.package or DONE_TAG + last.digest[:16] in version.tags:
        return
    current = version_of(client, model, CHAMPION)
    # Another checkout may have moved the alias since: then the interrupted change is history, not a debt.
    if (int(current.version) if current is not None else None) in (last.previous_version, last.version):
        _set_champion(client, last)


def _existing(client: "MlflowClient", model: str, number: int) -> "ModelVersion":
    versions = {int(each.version): each for each in client.search_model_versions(f"name = '{model}'")}
    if number not in versions:
        known = ", ".join(str(each) for each in sorted(versions))
        raise RegistryError(f"Model {model} has no version {number}. It has {known}.")
    return versions[number]


def _set_champion(client: "MlflowClient", entry: ledger.Entry) -> None:
    client.set_registered_model_alias(entry.model, CHAMPION, str(entry.version))
    client.set_model_version_tag(entry.model, str(entry.version), DONE_TAG + entry.digest[:16], "done")
