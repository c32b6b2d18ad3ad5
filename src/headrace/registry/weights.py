"""A registered model as a place to start from: which version a name means now, and its package."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import RegistryError
from headrace.params import did_you_mean
from headrace.registry.packages import Package
from headrace.registry.tags import PACKAGE_TAG
from headrace.registry.versions import fetch, version_of
from headrace.tracking.runs import Store
from headrace.tracking.store import check, connect, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MAX_NAMED = 8
_URI = re.compile(r"models:/(?P<model>[A-Za-z0-9][A-Za-z0-9._-]*)(@(?P<alias>[A-Za-z0-9._-]+)|/(?P<version>[1-9]\d*))")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version of a model, by number or by an alias."""

    model: str
    alias: str
    version: str

    @classmethod
    def parse(cls, uri: str) -> "Wanted":
        """`models:/NAME@ALIAS` or `models:/NAME/VERSION`.

        Raises:
            RegistryError: it is neither.
        """
        found = _URI.fullmatch(uri)
        if not found:
            raise RegistryError(f"{uri!r} names no registered model: models:/NAME@champion, or models:/NAME/3 for a version.")
        return cls(found["model"], found["alias"] or "", found["version"] or "")


def resolve_version(store: Store, uri: str) -> tuple[str, str]:
    """Version and package digest that a URI means now; nothing is downloaded.

    Raises:
        RegistryError: no such model, alias or version, or one without a package of ours.
        EngineError: MLflow does not answer.
    """
    with _asked(store) as client:
        found = _find(client, Wanted.parse(uri))
        return str(found.version), found.tags[PACKAGE_TAG]


def bring_package(store: Store, uri: str, cache: Path) -> Package:
    """The verified package of a version.

    Args:
        store: tracking and registry.
        uri: models:/NAME/VERSION.
        cache: folder of downloaded models on this machine.

    Raises:
        RegistryError: as `resolve_version`, or what the store holds is not what was registered.
        EngineError: MLflow does not answer.
    """
    with _asked(store) as client:
        return fetch(client, _find(client, Wanted.parse(uri)), cache)


@contextmanager
def _asked(store: Store) -> Iterator["MlflowClient"]:
    check(store.uri)
    client = connect(store.uri)
    with service_errors(store.uri):
        yield client


def _find(client: "MlflowClient", wanted: Wanted) -> "ModelVersion":
    model = next(iter(client.search_registered_models(f"name = '{wanted.model}'")), None)
    if model is None:
        names = [each.name for each in client.search_registered_models()]
        known = f" There are {', '.join(sorted(names)[:MAX_NAMED])}." if names else " The registry has no model at all."
        raise RegistryError(f"no model is registered as '{wanted.model}'.{did_you_mean(wanted.model, names) or known}")
    if wanted.alias:
        found = version_of(client, wanted.model, wanted.alias)
        if found is None:
            aliases = ", ".join(f"{alias} (version {number})" for alias, number in sorted(model.aliases.items())) or "none"
            raise RegistryError(
                f"model '{wanted.model}' has no {wanted.alias}. Its aliases: {aliases}. Promote a version, or write models:/"
                f"{wanted.model}/VERSION."
            )
    else:
        every = {str(each.version): each for each in client.search_model_versions(f"name = '{wanted.model}'")}
        found = every.get(wanted.version)
        if found is None:
            numbers = ", ".join(sorted(every, key=int)[-MAX_NAMED:]) or "none"
            raise RegistryError(f"model '{wanted.model}' has no version {wanted.version}. Its versions: {numbers}.")
    if not re.fullmatch(r"[0-9a-f]{64}", found.tags.get(PACKAGE_TAG, "")):
        raise RegistryError(
            f"version {found.version} of '{wanted.model}' was not registered by Headrace, so it cannot be verified."
        )
    return found
