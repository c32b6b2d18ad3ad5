"""Where the model lies that a command names: a folder, or a version in the registry."""

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from headrace.settings import Settings


def find_folder(settings: "Settings", named: str) -> Path:
    """A package or model folder; '' names the project's package, or its candidate where there is no package yet.

    Raises:
        ConfigError: no such folder.
        RegistryError: no such version or alias.
        EngineError: MLflow does not answer.
    """
    if "@" in named:
        return _registered(settings, named)
    places = [Path(named)] if named else [settings.project / "models" / name for name in ("package", "candidate")]
    for place in places:
        if (place / "model.json").is_file():
            return place
    raise ConfigError(
        f"{' and '.join(map(str, places))}: no model there. `headrace run` makes one; a registered one is NAME@champion, "
        "as `headrace trace` takes it."
    )


def _registered(settings: "Settings", named: str) -> Path:
    from headrace.registry.versions import fetch, version_of
    from headrace.tracking.live import store_of
    from headrace.tracking.store import check, connect, service_errors

    model, _, alias = named.partition("@")
    store = store_of(settings)
    check(store.uri)
    client = connect(store.uri)
    with service_errors(store.uri):
        version = version_of(client, model, alias)
        if version is None:
            raise RegistryError(f"'{named}' names no version: there is no such model, or none that is called '{alias}'.")
        return fetch(client, version, settings.state_home / "packages").folder
