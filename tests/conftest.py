"""What all tests share: a state folder that is not the user's, real data, one Prefect server, clones of the working tree."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgres import Postgres, postgres
from tests.projects import REPOSITORY, Checkout, clone, make_origin
from tests.services import ObjectStore, PrefectServer, ensure_swift, free_port, swift_environment

SHARED = REPOSITORY.parent / "shared"


def pytest_configure() -> None:
    """Judge no test by the clock, and let the commands that tests start hear Ctrl-C.

    A busy machine draws examples slowly. A shell that puts us into the background makes us deaf to Ctrl-C, and what we start.
    """
    settings, busy = hypothesis.settings, [hypothesis.HealthCheck.too_slow]
    settings.register_profile("headrace", settings.default, deadline=None, suppress_health_check=busy)
    settings.load_profile("headrace")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the state of the user's own projects, and none sends telemetry."""
    from headrace.settings import Settings, prepare_process

    patch = pytest.MonkeyPatch()
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "HEADRACE_PROJECT", "HEADRACE_MIRROR", "HEADRACE_DEVICE"):
        patch.delenv(name, raising=False)
    patch.setenv("HEADRACE_HOME", str(tmp_path_factory.mktemp("home")))
    patch.setenv("HEADRACE_OBJECT_STORE_ENVIRONMENT", str(swift_environment()))
    before = dict(os.environ)
    prepare_process(Settings())
    for name in os.environ.keys() - before.keys():
        patch.setenv(name, os.environ[name])
    yield
    patch.undo()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets beside the repository; absent on a user's machine."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data sets, ../shared/data, is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the present working tree."""
    return make_origin(tmp_path_factory.mktemp("origin"))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Prefect server on 127.0.0.1, with a database of its own."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    try:
        server.start()
        yield server.api
    finally:
        server.end()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A real S3 server (OpenStack Swift): `endpoint`, `access_key`, `secret_key`, `variables`, `make_bucket()`, `client()`."""
    store = ObjectStore(tmp_path_factory.mktemp("object-store"), free_port(4), ensure_swift())
    store.start()
    try:
        yield store
    finally:
        store.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A real PostgreSQL: `url(database)`, `password`, `make_database()`, `execute(database, ...)`, `stop()`, `start()`."""
    with postgres() as server:
        yield server


@pytest.fixture
def new_clone(origin: Path, prefect_server: str, tmp_path: Path) -> Callable[..., Checkout]:
    """Make clones that share one state folder: `new_clone("a")`."""
    home = tmp_path / "home"
    return lambda name: clone(origin, tmp_path / name, home, PREFECT_API_URL=prefect_server)
