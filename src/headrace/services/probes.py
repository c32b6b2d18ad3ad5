"""Prove that a service works and asks who is there: a round trip, and an anonymous call that is refused."""

import contextlib
import functools
import json
import secrets
from collections.abc import Callable, Iterator

from headrace.errors import ConfigError, EngineError
from headrace.services import mlflow_server, object_store, prefect_server, state
from headrace.services.asking import ask
from headrace.services.credentials import USER, Secrets, read_or_make
from headrace.services.inventory import url_of
from headrace.services.object_store import ensure_bucket, s3
from headrace.settings import Settings

REFUSED = {401, 403}


def probes(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """A name and a check for each service that this project uses; the check returns what it found, or raises EngineError."""
    folder = settings.services_folder
    try:
        known = state.read(folder)
    except ConfigError as error:
        yield "services", functools.partial(_raise, error)
        return
    if not known.in_use:
        return
    secret = read_or_make(folder)
    urls = {name: url_of(known, name) for name in known.ports}
    if known.object_store:
        yield object_store.NAME, lambda: prove_object_store(urls[object_store.NAME], secret)
    yield mlflow_server.NAME, lambda: prove_mlflow(urls[mlflow_server.NAME], secret)
    yield prefect_server.NAME, lambda: prove_prefect(urls[prefect_server.NAME], secret)
    yield prefect_server.WORKER, lambda: prove_worker(settings, urls[prefect_server.NAME], secret)


def prove_mlflow(url: str, secret: Secrets) -> str:
    """An artifact goes through the server to its store and back."""
    login = (USER, secret.mlflow_password)
    path, content = f"{url}/api/2.0/mlflow-artifacts/artifacts/doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    _expect(ask(path, login=login, method="PUT", body=content)[0], {200}, f"{url}: writing an artifact")
    status, found = ask(path, login=login)
    ask(path, login=login, method="DELETE")
    _expect(status, {200}, f"{url}: reading an artifact")
    _same(content, found, url)
    search = f"{url}/api/2.0/mlflow/experiments/search?max_results=1"
    _expect(ask(search, login=login)[0], {200}, f"{url}: listing experiments")
    for path_of, who in ((search, None), (path, None), (search, ("admin", "password1234")), (f"{url}/", None)):
        _expect(ask(path_of, login=who)[0], REFUSED, f"{url}: a call by {who[0] if who else 'nobody'}")
    return f"{url}: an artifact written and read; without the password refused"


def prove_prefect(url: str, secret: Secrets) -> str:
    """A variable is written, read and deleted."""
    login, api = (USER, secret.prefect_password), f"{url}/api"
    name, value = f"headrace_doctor_{secrets.token_hex(4)}", secrets.token_hex(8)
    made = ask(f"{api}/variables/", login=login, method="POST", json_body={"name": name, "value": value})[0]
    _expect(made, {200, 201}, f"{url}: writing a variable")
    status, found = ask(f"{api}/variables/name/{name}", login=login)
    ask(f"{api}/variables/name/{name}", login=login, method="DELETE")
    _expect(status, {200}, f"{url}: reading a variable")
    _same(value, json.loads(found)["value"], url)
    anonymous = ask(f"{api}/flow_runs/filter", method="POST", json_body={})[0]
    _expect(anonymous, REFUSED, f"{url}: a call by nobody")
    return f"{url}: a variable written and read; without the password refused"


def prove_worker(settings: Settings, url: str, secret: Secrets) -> str:
    """Its server has heard from it."""
    name = prefect_server.worker_name(settings)
    if not prefect_server.is_online(f"{url}/api", settings.work_pool, name, (USER, secret.prefect_password)):
        raise EngineError(f"Prefect has not heard from {name} in pool {settings.work_pool}. headrace up; headrace logs worker")
    return f"{name} asks for work in pool {settings.work_pool}"


def prove_object_store(url: str, secret: Secrets) -> str:
    """An object is put, read and deleted; nobody else gets anything, from the proxy or from behind it."""
    bucket, content = "headrace-doctor", secrets.token_bytes(64)
    target = f"{url}/{bucket}/{secrets.token_hex(8)}"
    ensure_bucket(url, bucket, secret, limit_s=3)
    with contextlib.ExitStack() as after:
        after.callback(s3, "DELETE", f"{url}/{bucket}", secret=secret.s3_secret_key)
        after.callback(s3, "DELETE", target, secret=secret.s3_secret_key)
        _expect(s3("PUT", target, secret=secret.s3_secret_key, body=content)[0], {200}, f"{url}: putting an object")
        status, found = s3("GET", target, secret=secret.s3_secret_key)
        _expect(status, {200}, f"{url}: getting an object")
        _same(content, found, url)
        # Without a signature it is no S3 request, and no Swift request either.
        _expect(ask(target)[0], REFUSED | {400}, f"{url}: a call by nobody")
        _expect(ask(f"{url}/v1/AUTH_headrace/{bucket}")[0], REFUSED, f"{url}: a Swift call by nobody")
        _expect(s3("GET", target, secret="wrong")[0], REFUSED, f"{url}: a call with a wrong key")  # noqa: S106  # wrong on purpose
        port = int(url.rpartition(":")[2])
        for behind in range(port + 1, port + 4):
            _expect(ask(f"http://127.0.0.1:{behind}/disk/0/AUTH_headrace")[0], REFUSED, f"port {behind}: a call by nobody")
    return f"{url}: an object put, read and deleted; without the key refused"


def _raise(error: Exception) -> str:
    raise error


def _expect(status: int, wanted: set[int], what: str) -> None:
    if status not in wanted:
        got = f"was answered with {status}" if status else "was not answered"
        raise EngineError(
            f"{what} {got}, expected {' or '.join(map(str, sorted(wanted)))}. headrace ps; headrace logs; headrace up"
        )


def _same(expected: object, actual: object, url: str) -> None:
    if expected != actual:
        raise EngineError(f"{url} gave back something else than was written. headrace logs")
