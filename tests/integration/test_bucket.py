"""Our side of a bucket, with a real S3 server behind a proxy that fails."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faulty_proxy import FaultyProxy, proxy
from tests.projects import wait_until
from tests.services import ObjectStore, free_port

from headrace.errors import ConfigError, DataError, EngineError
from headrace.settings import Settings
from headrace.storage.s3 import Bucket

CONTENT = os.urandom(100_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def faulty(object_store: ObjectStore) -> Iterator[FaultyProxy]:
    with proxy(object_store.endpoint) as found:
        yield found


@pytest.fixture
def bucket(
    object_store: ObjectStore, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Bucket]:
    """A bucket behind the proxy, with one object: `bucket(budget_s=2)`."""
    for name, value in object_store.variables.items():
        monkeypatch.setenv(name, value)
    name = object_store.make_bucket()
    object_store.client().put_object(Bucket=name, Key="a/1", Body=CONTENT)
    return lambda budget_s=20.0: Bucket(Settings(project=tmp_path), name, endpoint=faulty.url, budget_s=budget_s)


def test_what_is_put_is_listed_and_read(bucket: Callable[..., Bucket], tmp_path: Path) -> None:
    found = bucket()

    found.put("a/2", b"two")
    found.download("a/1", tmp_path / "got", md5=MD5, sha256=SHA256)

    assert [(each.key, each.size) for each in found.objects("a/")] == [("a/1", len(CONTENT)), ("a/2", 3)]
    assert next(found.objects("a/")).etag == MD5
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert found.head("a/2") is not None
    assert found.head("a/3") is None


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["busy", "short", "flip", "html"])
def test_what_passes_is_tried_again(bucket: Callable[..., Bucket], faulty: FaultyProxy, fault: str) -> None:
    """A burst of refusals, half a body, a wrong byte, a proxy's log-in page: none of it reaches the caller."""
    found = bucket()
    faulty.spoil(fault, 2)

    assert found.read("a/1", md5=MD5) == CONTENT
    assert faulty.times == 0


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["flip", "html"])
def test_what_stays_wrong_is_refused_and_leaves_no_file(
    bucket: Callable[..., Bucket], faulty: FaultyProxy, fault: str, tmp_path: Path
) -> None:
    found = bucket()
    faulty.spoil(fault, 99)

    with pytest.raises(DataError, match="3 times"):
        found.download("a/1", tmp_path / "sub" / "got", sha256=SHA256)

    assert list((tmp_path / "sub").iterdir()) == []


@pytest.mark.fault
def test_a_log_in_page_is_no_empty_listing(bucket: Callable[..., Bucket], faulty: FaultyProxy) -> None:
    """It parses as one; an audit would call every object missing."""
    found = bucket(budget_s=3)
    faulty.spoil("html", 99)

    with pytest.raises((DataError, EngineError)):
        list(found.objects())


@pytest.mark.fault
def test_a_log_in_page_is_no_stored_object(bucket: Callable[..., Bucket], faulty: FaultyProxy) -> None:
    found = bucket()
    faulty.spoil("html", 1, method="PUT")

    found.put("b", CONTENT)

    assert found.read("b", md5=MD5) == CONTENT


@pytest.mark.fault
def test_refusals_end_with_the_budget(bucket: Callable[..., Bucket], faulty: FaultyProxy) -> None:
    found = bucket(budget_s=1)
    faulty.spoil("busy", 10_000)

    with pytest.raises(EngineError, match=r"failed for 1 s; last: SlowDown \(status 503\)"):
        found.read("a/1")

    assert faulty.requests > 2


@pytest.mark.fault
def test_a_server_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    endpoint = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(EngineError, match=endpoint):
        Bucket(Settings(project=tmp_path), "data", endpoint=endpoint, budget_s=0.5).read("key")


@pytest.mark.fault
def test_expired_credentials_are_named_without_the_secret(
    bucket: Callable[..., Bucket], faulty: FaultyProxy, object_store: ObjectStore
) -> None:
    """In the middle of an upload, as session tokens do: which key, where it came from, what to do."""
    found = bucket()
    faulty.spoil("expired", 99, after=2)

    found.put("b/1", b"1")
    found.put("b/2", b"2")
    with pytest.raises(ConfigError, match=r"AWS_ACCESS_KEY_ID.*ocal\) have expired .*aws sso login") as refused:
        found.put("b/3", b"3")

    assert object_store.secret_key not in str(refused.value)


def test_refused_keys_are_named_at_once(object_store: ObjectStore, tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, s3_access_key="headrace:local", s3_secret_key="wrong")

    with pytest.raises(ConfigError, match="are refused"):
        Bucket(settings, object_store.make_bucket(), endpoint=object_store.endpoint).read("key")


def test_a_bucket_that_is_not_there_is_named(bucket: Callable[..., Bucket], tmp_path: Path, faulty: FaultyProxy) -> None:
    bucket()

    with pytest.raises(ConfigError, match="no bucket 'nowhere'"):
        list(Bucket(Settings(project=tmp_path), "nowhere", endpoint=faulty.url).objects())


def test_an_object_that_is_not_there_is_named(bucket: Callable[..., Bucket]) -> None:
    with pytest.raises(DataError, match="no such object"):
        bucket().read("a/none")


PUT = """
import sys
from pathlib import Path
from headrace.settings import Settings
from headrace.storage.s3 import Bucket
Bucket(Settings(project=Path(sys.argv[1])), sys.argv[2], endpoint=sys.argv[3]).put(sys.argv[4], Path(sys.argv[5]))
"""


@pytest.mark.fault
def test_an_upload_that_is_killed_leaves_nothing_to_see(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 between its parts: no object, only an unfinished upload, which `headrace gc --remote` gives up."""
    for name, value in object_store.variables.items():
        monkeypatch.setenv(name, value)
    name = object_store.make_bucket()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200_000_000)
    found = Bucket(Settings(project=tmp_path), name, endpoint=object_store.endpoint)
    arguments = [str(tmp_path), name, object_store.endpoint, "key", str(tmp_path / "large")]
    sending = subprocess.Popen([sys.executable, "-c", PUT, *arguments])
    try:
        uploads = wait_until(lambda: list(found.unfinished()), what="the upload's beginning")
    finally:
        sending.kill()
        sending.wait()

    assert found.head("key") is None
    assert list(found.objects()) == []
    for upload in uploads:
        found.abandon(upload)
        found.abandon(upload)  # one that has gone is none
    assert list(found.unfinished()) == []


@pytest.mark.fault
def test_two_writers_of_one_key_both_succeed(bucket: Callable[..., Bucket], faulty: FaultyProxy, tmp_path: Path) -> None:
    """Two processes: keys are digests, so both bring the same bytes; nothing relies on who was first."""
    found = bucket()
    (tmp_path / "same").write_bytes(CONTENT)
    arguments = [str(tmp_path), found.name, faulty.url, "a/same", str(tmp_path / "same")]
    writers = [subprocess.Popen([sys.executable, "-c", PUT, *arguments]) for _ in range(2)]

    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert found.read("a/same", md5=MD5) == CONTENT
