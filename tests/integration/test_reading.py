"""Runs and versions read without MLflow are those that MLflow reads: SQLite, PostgreSQL, and a server over REST."""

import http.server
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.postgres import Postgres

from headrace.errors import EngineError
from headrace.settings import named_driver
from headrace.tracking.facts import InputFact, RunFacts
from headrace.tracking.reading import open_reader
from headrace.tracking.rest import RestReader
from headrace.tracking.runs import Store, open_run
from headrace.tracking.store import connect, experiment_id


@pytest.fixture(params=["sqlite", "server", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres_server")
        return Store(
            named_driver(server.url(server.make_database(), password=True)),
            "project",
            (request.getfixturevalue("tmp_path") / "artifacts").as_uri(),
        )
    if request.param == "sqlite":
        found: Store = request.getfixturevalue("sqlite_store")
        return found
    return Store(request.getfixturevalue("mlflow_server").uri, "reading")


def test_what_is_read_is_what_mlflow_reads(store: Store) -> None:
    """Every field that a trace shows, with a metric that is no number and names that need quoting."""
    client = connect(store.uri)
    experiment = experiment_id(client, store.experiment, store.artifact_location)
    facts = RunFacts(
        params={"train": {"epochs": 3}}, inputs=(InputFact("data/splits", "d" * 32 + ".dir", "data/splits"),), commit="c" * 40
    )
    run_id = open_run(client, experiment, "f" * 64, facts).info.run_id
    client.log_metric(run_id, "test/accuracy", 0.25)
    client.log_metric(run_id, "test/accuracy", 0.75, step=1)
    client.log_metric(run_id, "odd", math.nan)
    client.log_text(run_id, "content", "provenance/dvc.lock")
    client.create_registered_model("it's")
    client.create_registered_model("read-me")
    for _ in range(2):
        client.create_model_version(
            "read-me", source=client.get_run(run_id).info.artifact_uri, run_id=run_id, tags={"headrace.package": "p"}
        )
    client.set_registered_model_alias("read-me", "champion", "2")
    reader = open_reader(store.uri)

    run, told = reader.run(run_id), client.get_run(run_id)
    assert run is not None
    assert (run.name, run.status, run.started, run.ended) == (
        told.info.run_name, told.info.status, told.info.start_time, told.info.end_time,
    )  # fmt: skip
    assert dict(run.tags) == dict(told.data.tags)
    assert dict(run.params) == told.data.params
    assert run.metrics["test/accuracy"] == 0.75
    assert math.isnan(run.metrics["odd"])
    assert run.inputs == {"data/splits": "d" * 32 + ".dir"}
    version = reader.version("read-me", 2)
    assert version is not None
    assert (version.model, version.version, version.run_id, version.aliases) == ("read-me", 2, run_id, ("champion",))
    assert version.tags == {"headrace.package": "p"}
    assert version.created == client.get_model_version("read-me", "2").creation_timestamp
    assert reader.alias("read-me", "champion") == 2
    assert reader.versions("read-me") == [1, 2]
    assert {"it's", "read-me"} <= set(reader.models())
    assert reader.run_file(run, "provenance/dvc.lock") == b"content"
    assert reader.version_file(version, "provenance/dvc.lock") == b"content"
    assert reader.run_file(run, "provenance/none") is None
    assert reader.version_file(version, "none") is None
    # A name that nobody has, or nobody can have, is no failure of the store.
    assert reader.run("0" * 32) is None
    assert reader.version("nobody", 1) is None
    assert reader.alias("nobody", "champion") is None
    assert reader.versions("no'body") == []


@contextmanager
def server(status: int, body: bytes) -> Iterator[str]:
    """Answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{found.server_address[1]}"
        finally:
            found.shutdown()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b"You are not authenticated", "refuses the login"),
        (200, b"<html>sign in</html>", "what answers there is not MLflow"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "disk full"}', "disk full"),
    ],
)
def test_an_answer_that_is_no_answer_is_told(status: int, body: bytes, told: str) -> None:
    """A login page is not a model that does not exist."""
    with server(status, body) as url, pytest.raises(EngineError, match=told):
        RestReader(url).run("0" * 32)
