"""What the registry says of a model: its package, its entry in the ledger, the run that made it."""

from pathlib import Path

from headrace.errors import HeadraceError, RegistryError
from headrace.lineage.edge import Edge, broken, fine, gone
from headrace.lineage.evidence import Evidence
from headrace.registry import ledger
from headrace.registry.tags import CHAMPION, PACKAGE_TAG
from headrace.settings import Settings
from headrace.tracking.facts import FINGERPRINT_TAG
from headrace.tracking.live import store_of
from headrace.tracking.reading import VersionRecord


def package_edge(settings: Settings, version: VersionRecord, folder: Path) -> tuple[Edge, Path | None]:
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


def ledger_edge(settings: Settings, version: VersionRecord) -> Edge:
    """The ledger of this machine against the registry: the package it names, and which version is champion."""
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


def run_edge(evidence: Evidence, package: Path | None) -> Edge:
    """The MLflow run against the version: one fingerprint."""
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
