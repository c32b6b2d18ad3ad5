"""The services of a project: which there are, in which order, where they listen."""

from headrace.services import mlflow_server, object_store, prefect_server
from headrace.services.credentials import USER, Secrets
from headrace.services.service import Service
from headrace.services.state import State
from headrace.settings import Settings

ORDER = (object_store.NAME, mlflow_server.NAME, prefect_server.NAME, prefect_server.WORKER)
"""Each needs at most the ones before it; they are ended the other way round."""


def wanted(known: State) -> list[str]:
    """Names of the services that are to run."""
    return [name for name in ORDER if known.object_store or name != object_store.NAME]


def urls(known: State) -> dict[str, str]:
    """Variable to URL, for clients."""
    found = {
        "MLFLOW_TRACKING_URI": url_of(known, mlflow_server.NAME),
        "PREFECT_API_URL": f"{url_of(known, prefect_server.NAME)}/api",
    }
    return found | ({"AWS_ENDPOINT_URL_S3": url_of(known, object_store.NAME)} if known.object_store else {})


def client_variables(known: State, secret: Secrets) -> dict[str, str]:
    """What a flow run needs to reach MLflow and Prefect."""
    return {
        **{name: url for name, url in urls(known).items() if not name.startswith("AWS_")},
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": secret.mlflow_password,
        "PREFECT_API_AUTH_STRING": secret.prefect_auth,
    }


def describe(settings: Settings, name: str, known: State, secret: Secrets) -> Service:
    """A service of this project as data."""
    folder = settings.services_folder
    if name == object_store.NAME:
        return object_store.service(folder / name, object_store.environment_folder(settings), port=known.ports[name])
    if name == mlflow_server.NAME:
        own_bucket = known.object_store and not settings.mlflow_artifacts
        store_url = url_of(known, object_store.NAME) if own_bucket else None
        return mlflow_server.service(settings, secret, port=known.ports[name], destination=known.artifacts, store_url=store_url)
    if name == prefect_server.NAME:
        return prefect_server.server(settings, secret, port=known.ports[name])
    return prefect_server.worker(settings, secret, clients=client_variables(known, secret))


def url_of(known: State, name: str) -> str:
    """Where a service listens."""
    return f"http://127.0.0.1:{known.ports[name]}"
