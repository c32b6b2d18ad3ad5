"""An `s3` source with a real S3 server, behind a proxy that counts and fails."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faulty_proxy import FaultyProxy, proxy
from tests.faulty_server import serve
from tests.services import ObjectStore

from headrace.errors import ConfigError, DataError, EngineError, HeadraceError, SourceError
from headrace.sources.fetch import fetch, refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import read_lock
from headrace.sources.spec import S3
from headrace.storage.objects import paced


class Site:
    """A project whose files are in a bucket."""

    def __init__(self, store: ObjectStore, client: Any, web: FaultyProxy, folder: Path):
        self.bucket, self.folder, self.web = store.make_bucket(), folder, web
        self.client = client
        self.lock = folder / "sources.lock"
        self.places = self.machine("one")

    def machine(self, name: str) -> Places:
        """A machine that has the project and no more."""
        return Places(project=self.folder, downloads=self.folder / name)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def source(self, **more: Any) -> S3:
        values = {"kind": "s3", "name": "photos", "bucket": self.bucket, "prefix": "in/", "endpoint": self.web.url}
        return S3.model_validate(values | more)

    def refresh(self, *, places: Places | None = None, full: bool = False, **more: Any) -> list[str]:
        self.web.asked.clear()
        changes = refresh([self.source(**more)], self.lock, places or self.places, full=full)
        return [f"{change.what} {change.file}" for change in changes]

    def fetch(self, *, places: Places | None = None, **more: Any) -> dict[str, bytes]:
        self.web.asked.clear()
        files = fetch([self.source(**more)], read_lock(self.lock), places or self.places)
        return {file.name: file.path.read_bytes() for file in files}

    @property
    def read(self) -> list[str]:
        """Objects that were read since the last command."""
        return sorted(
            path.partition("?")[0].split("/", 2)[2]
            for path in self.web.asked
            if path.startswith("GET") and "list-type" not in path
        )


@pytest.fixture
def web(object_store: ObjectStore) -> Iterator[FaultyProxy]:
    with proxy(object_store.endpoint) as found:
        yield found


@pytest.fixture(scope="module")
def client(object_store: ObjectStore) -> Any:
    return object_store.client()


@pytest.fixture
def site(object_store: ObjectStore, client: Any, web: FaultyProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    for name, value in object_store.variables.items():
        if "ENDPOINT" not in name:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("HEADRACE_S3_BUDGET_S", "20")
    found = Site(object_store, client, web, tmp_path)
    found.put("in/a.csv", b"a\n1\n")
    found.put("in/more/b.csv", b"b\n2\n")
    found.put("other/c.csv", b"c\n3\n")
    return found


def test_all_below_a_prefix_comes_in_key_order(site: Site) -> None:
    site.put("in/", b"")  # how consoles mark a folder
    site.put("in/.DS_Store", b"x")

    assert site.refresh() == ["added in/a.csv", "added in/more/b.csv"]
    assert site.fetch() == {"in/a.csv": b"a\n1\n", "in/more/b.csv": b"b\n2\n"}
    assert site.read == []  # refresh has brought them
    [entry] = read_lock(site.lock).sources
    assert entry.files[0].url == f"s3://{site.bucket}/in/a.csv"
    assert entry.files[0].sha256 == hashlib.sha256(b"a\n1\n").hexdigest()


def test_one_new_object_among_a_hundred_is_one_read(site: Site) -> None:
    """A data set in a bucket grows by a file a night."""
    for number in range(98):
        site.put(f"in/{number:03d}.csv", b"%d\n" % number)
    site.refresh()
    site.put("in/new.csv", b"new\n")

    assert site.refresh() == ["added in/new.csv"]
    assert site.read == ["in/new.csv"]
    assert len(site.web.asked) == 2  # the listing, and it


def test_unchanged_objects_are_not_read(site: Site) -> None:
    """One listing says it, also on a machine that has nothing but the lock."""
    site.refresh()
    before = site.lock.read_bytes()

    for places in (site.places, site.machine("two")):
        assert site.refresh(places=places) == []
        assert [path.partition("?")[0] for path in site.web.asked] == [f"GET /{site.bucket}"]
    assert site.lock.read_bytes() == before


def test_changed_and_removed_objects_are_seen(site: Site) -> None:
    site.refresh()
    site.put("in/a.csv", b"a\n9\n")
    site.client.delete_object(Bucket=site.bucket, Key="in/more/b.csv")

    assert sorted(site.refresh()) == ["changed in/a.csv", "removed in/more/b.csv"]
    assert site.fetch() == {"in/a.csv": b"a\n9\n"}


def test_bytes_that_were_stored_once_more_change_nothing(site: Site) -> None:
    """In parts, say, which gives the object another ETag: downstream hears of bytes, not of uploads. Read once, not each night."""
    site.refresh()
    before = site.lock.read_bytes()
    upload = site.client.create_multipart_upload(Bucket=site.bucket, Key="in/a.csv")["UploadId"]
    where = {"Bucket": site.bucket, "Key": "in/a.csv", "UploadId": upload}
    part = site.client.upload_part(**where, PartNumber=1, Body=b"a\n1\n")
    site.client.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})

    assert site.refresh() == []
    assert site.read == ["in/a.csv"]
    assert site.refresh() == []
    assert site.read == []
    assert site.lock.read_bytes() == before
    assert site.fetch(places=site.machine("two")) == {"in/a.csv": b"a\n1\n", "in/more/b.csv": b"b\n2\n"}


def test_full_reads_everything(site: Site) -> None:
    site.refresh()

    assert site.refresh(full=True) == []
    assert site.read == ["in/a.csv", "in/more/b.csv"]


def test_listed_objects_are_asked_for_by_name(site: Site) -> None:
    more = {"prefix": "", "objects": ["other/c.csv", {"key": "in/a.csv", "split": "test"}]}

    assert site.refresh(**more) == ["added other/c.csv", "added in/a.csv"]
    assert [file.split for file in read_lock(site.lock).sources[0].files] == ["", "test"]
    assert site.refresh(**more) == []
    assert site.read == []


def test_an_old_version_can_still_be_had(site: Site) -> None:
    """The lock of last month, on a new machine, after the object was replaced: versions are what makes a bucket reproducible."""
    site.client.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Enabled"})
    site.put("in/a.csv", b"a\nold\n")
    site.refresh()
    locked = read_lock(site.lock).sources[0].files[0]
    site.put("in/a.csv", b"a\nnew\n")

    assert locked.version
    assert site.fetch(places=site.machine("two"))["in/a.csv"] == b"a\nold\n"
    pinned = {"prefix": "", "objects": [{"key": "in/a.csv", "version": locked.version}]}
    site.refresh(places=site.machine("three"), **pinned)
    assert site.fetch(places=site.machine("three"), **pinned) == {"in/a.csv": b"a\nold\n"}
    site.refresh(places=site.machine("three"), **pinned)
    assert site.web.asked == []  # a version never changes


@pytest.mark.fault
def test_a_replaced_object_is_told_where_there_are_no_versions(site: Site) -> None:
    site.refresh()
    site.put("in/a.csv", b"a\n9\n")

    with pytest.raises(SourceError, match=r"no longer has the in/a\.csv of data/sources\.lock.*headrace sources refresh"):
        site.fetch(places=site.machine("two"))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("more", "kind", "told"),
    [
        ({"bucket": "no-such-bucket-here"}, ConfigError, "has no bucket 'no-such-bucket-here'. Correct `bucket`"),
        ({"prefix": "nothing/"}, SourceError, "no object whose key begins with 'nothing/'"),
        ({"prefix": "", "objects": ["in/z.csv"]}, SourceError, "has no in/z.csv. Correct collect.sources"),
        ({"prefix": "", "objects": [{"key": "in/a.csv", "version": "17"}]}, SourceError, "in version 17"),
    ],
)
def test_what_is_not_there_is_told(site: Site, more: dict[str, Any], kind: type[HeadraceError], told: str) -> None:
    with pytest.raises(kind, match=told):
        site.refresh(**more)

    assert not site.lock.exists()


@pytest.mark.badinput
def test_refused_keys_are_told_without_the_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    with pytest.raises(ConfigError, match="are refused") as refused:
        site.refresh()

    assert "canary-secret" not in str(refused.value)


@pytest.mark.badinput
def test_a_key_that_is_no_path_is_refused(site: Site) -> None:
    """A bucket takes any text for a key; a folder does not."""
    for key in ("in/../../evil", "in/a\nb", "in//a", "in/.."):
        site.put(key, b"x")
        with pytest.raises(SourceError, match="the key"):
            site.refresh()
        site.client.delete_object(Bucket=site.bucket, Key=key)


@pytest.mark.badinput
def test_odd_but_harmless_keys_come_in(site: Site) -> None:
    """Long, starting with a dash, equal but for case, written from right to left."""
    keys = ["in/" + "x" * 300, "in/-rf", "in/A.csv", "in/\u202egnp.exe", "in/ä b+c%41.csv"]
    for key in keys:
        site.put(key, key.encode())
    site.refresh()

    assert {key: content for key, content in site.fetch(places=site.machine("two")).items() if key in keys} == {
        key: key.encode() for key in keys
    }


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["busy", "short", "flip", "html"])
def test_what_passes_is_tried_again(site: Site, web: FaultyProxy, fault: str) -> None:
    """A busy server, half a body, a wrong byte, a log-in page: not even the first read, whose sha256 nobody knows yet, believes them."""
    web.spoil(fault, 2)
    site.refresh()
    web.spoil(fault, 2)

    assert site.fetch(places=site.machine("two")) == {"in/a.csv": b"a\n1\n", "in/more/b.csv": b"b\n2\n"}
    assert site.fetch() == {"in/a.csv": b"a\n1\n", "in/more/b.csv": b"b\n2\n"}


@pytest.mark.fault
@pytest.mark.parametrize(("fault", "told"), [("flip", "its md5 is"), ("html", "a log-in page of a proxy")])
def test_what_stays_wrong_is_refused_and_leaves_nothing(site: Site, web: FaultyProxy, fault: str, told: str) -> None:
    web.spoil(fault, 10_000, after=1)
    with pytest.raises(DataError, match=f"{told}.*3 times"):
        site.refresh()

    assert not site.lock.exists()
    assert [path for path in site.places.downloads.rglob("*") if path.is_file()] == []


@pytest.mark.fault
def test_an_interrupted_object_goes_on_where_it_stopped(site: Site, web: FaultyProxy) -> None:
    """Each attempt of a big object would else begin at its beginning, and a budget counted from there would never be enough."""
    content = bytes(range(256)) * 4000
    site.put("in/big.bin", content)
    web.spoil("short", 3, method="GET", after=1)
    site.refresh(prefix="in/big.bin")

    assert site.fetch(prefix="in/big.bin") == {"in/big.bin": content}
    assert web.times == 0


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["hang", "crawl"])
def test_a_silent_or_crawling_server_is_dropped(
    site: Site, web: FaultyProxy, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is open and the bytes do not come: without a limit that is for ever."""
    monkeypatch.setattr("headrace.storage.s3_connection.READ_TIMEOUT_S", 2)
    monkeypatch.setattr("headrace.storage.objects.CHUNK", 2)
    monkeypatch.setattr("headrace.storage.objects.WINDOW_S", 0.3)
    bodies: list[Any] = []
    monkeypatch.setattr("headrace.storage.s3.paced", lambda body: bodies.append(body) or paced(body))
    site.put("in/a.csv", b"a\n" * 100)
    web.spoil(fault, 1, part="/in/a.csv")
    site.refresh()

    assert web.times == 0
    assert site.fetch()["in/a.csv"] == b"a\n" * 100
    assert all(body._raw_stream.closed for body in bodies)


@pytest.mark.fault
def test_refusals_end_with_the_budget_and_what_came_is_kept(
    site: Site, web: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rerun reads only what is missing."""
    monkeypatch.setenv("HEADRACE_S3_BUDGET_S", "0.5")
    monkeypatch.setattr("headrace.sources.s3.AT_ONCE", 1)
    web.spoil("busy", 10_000, after=2)  # the listing and the first object pass
    with pytest.raises(EngineError, match=r"failed for 0\.5 s; last: SlowDown \(status 503\)"):
        site.refresh()
    web.spoil("", 0)

    assert site.refresh() == ["added in/a.csv", "added in/more/b.csv"]
    assert site.read == ["in/more/b.csv"]


@pytest.mark.fault
def test_credentials_that_expire_in_the_middle_are_named(site: Site, web: FaultyProxy, object_store: ObjectStore) -> None:
    web.spoil("expired", 10_000, after=2)
    with pytest.raises(ConfigError, match=r"have expired .*aws sso login") as refused:
        site.refresh()

    assert object_store.secret_key not in str(refused.value)


def test_a_private_server_is_asked_if_it_is_meant(site: Site) -> None:
    named = site.web.url.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceError, match="list 'localhost' in allow_hosts"):
        site.refresh(endpoint=named)

    assert site.refresh(endpoint=named, allow_hosts=["localhost"]) == ["added in/a.csv", "added in/more/b.csv"]


@pytest.mark.fault
def test_a_redirect_into_the_private_network_is_not_followed(site: Site, web: FaultyProxy) -> None:
    with serve() as inner:
        web.redirect_to = f"{inner.url}/ok/secret"
        web.spoil("moved", 10_000)
        with pytest.raises(EngineError, match=r"redirects to .* which is not followed"):
            site.refresh()

        assert not inner.requests


def test_the_machines_own_server_needs_no_endpoint_in_params(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One settings object says where S3 is; the lock then holds nothing of it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", site.web.url)
    site.refresh(endpoint=None)

    assert site.web.url not in site.lock.read_text()
    assert len(site.fetch(endpoint=None)) == 2
