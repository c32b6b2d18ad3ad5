"""What registered models were made of: text that names digests nothing may delete."""

from typing import Any

from headrace.registry.trace import LOCK
from headrace.tracking.evidence import PROVENANCE
from headrace.tracking.facts import OUT_TAG
from headrace.tracking.reading import Reader, open_reader
from headrace.tracking.runs import Store
from headrace.tracking.store import connect, service_errors, sqlite_path

PAGE = 1000


def locks_of_models(store: Store, *, artifacts: bool = True) -> dict[str, str]:
    """The dvc.lock behind every version of every registered model, by NAME/VERSION; '' where nothing was recorded.

    That of its run counts too, and the digests in its tags, also where the files are gone.

    Args:
        store: of the models.
        artifacts: whether to read files; a server's cannot be read while it is down.

    Raises:
        EngineError: MLflow does not answer.
    """
    database = sqlite_path(store.uri)
    if database is not None and not database.exists():
        return {}
    reader = open_reader(store.uri)
    client = connect(store.uri)
    versions: list[Any] = []
    with service_errors(store.uri):
        token = None
        while True:
            page = client.search_model_versions(max_results=PAGE, page_token=token)
            versions += page
            token = page.token
            if not token:
                break
    return {
        f"{each.name}/{each.version}": "\n".join(
            [*(f"md5: {value}" for key, value in sorted(each.tags.items()) if key.startswith(OUT_TAG))]
            + (_files(reader, each.name, int(each.version)) if artifacts else [])
        )
        for each in versions
    }


def _files(reader: Reader, model: str, number: int) -> list[str]:
    version = reader.version(model, number)
    if version is None:
        return []
    name = f"{PROVENANCE}/{LOCK}"
    run = reader.run(version.run_id) if version.run_id else None
    found = [reader.version_file(version, name), reader.run_file(run, name) if run is not None else None]
    return [content.decode("utf-8", "replace") for content in found if content is not None]
