"""Downloads against a server that fails."""

import hashlib
from pathlib import Path

import pytest
from tests.faulty_server import FaultyServer, serve

from headrace.errors import SourceError
from headrace.sources.fetch import fetch, refresh
from headrace.sources.http import Patience, Wanted, download
from headrace.sources.places import Places
from headrace.sources.snapshot import pin, read_lock, write_lock
from headrace.sources.spec import Http
from headrace.sources.store import Store

CONTENT = bytes(range(256)) * 800
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(budget_s=3, read_timeout_s=0.4, window_s=0.4, min_bytes_per_s=1000, first_pause_s=0.01)


@pytest.fixture
def server():
    with serve() as running:
        running.files["numbers.bin"] = CONTENT
        yield running


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "downloads")


def bring(server: FaultyServer, store: Store, mode: str, *, patience: Patience = QUICK, pinned: bool = True) -> Path:
    sha256, size = (SHA256, len(CONTENT)) if pinned else (None, None)
    return download(
        Wanted(server.address(mode, "numbers.bin"), "numbers.bin", sha256, size), store, allowed={"127.0.0.1"}, patience=patience
    )


def landed(store: Store) -> list[Path]:
    return [path for path in (store.root / "sha256").rglob("*") if path.is_file()]


def test_whole_file_lands_under_its_digest(server, store):
    """The store is content-addressed: the path alone says which bytes are there."""
    path = bring(server, store, "ok")

    assert path == store.root / "sha256" / SHA256 / "numbers.bin"
    assert path.read_bytes() == CONTENT


@pytest.mark.fault
def test_bursts_of_503_are_retried(server, store):
    """A busy server costs time, not the run."""
    assert bring(server, store, "busy").read_bytes() == CONTENT


@pytest.mark.fault
def test_server_that_stays_down_spends_the_budget_and_no_more(server, store):
    """The message says what was seen last and how to work without the server."""
    with pytest.raises(SourceError, match=r"within 0.5 s; last: status 503.*HEADRACE_MIRROR"):
        bring(server, store, "down", patience=Patience(budget_s=0.5, first_pause_s=0.01))


@pytest.mark.fault
def test_interrupted_download_is_continued(server, store):
    """The second request asks only for what is missing."""
    assert bring(server, store, "short").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.fault
def test_download_of_a_killed_process_is_continued(server, store):
    """Bytes that an earlier process received are not fetched again."""
    server.failures = 1000
    with pytest.raises(SourceError, match="are kept for a rerun"):
        bring(server, store, "short", patience=Patience(budget_s=0.05, first_pause_s=0.1))
    server.failures, server.ranges = 0, []

    assert bring(server, store, "short").read_bytes() == CONTENT
    assert server.ranges[0].startswith("bytes=")
    assert server.ranges[0] != "bytes=0-"


@pytest.mark.fault
def test_server_without_ranges_is_asked_from_the_beginning(server, store):
    """Half a file and a whole one must not be glued together."""
    assert bring(server, store, "cut").read_bytes() == CONTENT


@pytest.mark.fault
def test_file_replaced_between_two_requests_is_fetched_whole(server, store):
    """If-Range with the old ETag makes the server send all of the new file."""
    assert bring(server, store, "replaced", pinned=False).read_bytes() == CONTENT


@pytest.mark.fault
def test_one_flipped_byte_is_fetched_again(server, store):
    """A wrong digest may be a fault of the way."""
    assert bring(server, store, "flip").read_bytes() == CONTENT
    assert server.requests["flip"] == 2


@pytest.mark.fault
def test_bytes_that_stay_wrong_are_refused(server, store):
    """After three complete but wrong answers nothing is left under a final name."""
    server.failures = 1000
    with pytest.raises(SourceError, match="wrong bytes 3 times: its sha256 is"):
        bring(server, store, "flip")

    assert landed(store) == []


@pytest.mark.fault
@pytest.mark.parametrize("pinned", [True, False])
def test_login_page_is_no_data(server, store, pinned):
    """A captive portal answers 200; the message says what came."""
    with pytest.raises(SourceError, match="web page"):
        bring(server, store, "html", pinned=pinned)

    assert landed(store) == []


@pytest.mark.fault
@pytest.mark.parametrize("mode", ["hang", "crawl"])
def test_silent_or_crawling_server_is_given_up(server, store, mode):
    """A connection that is open but useless must not hold a run for ever."""
    patience = Patience(budget_s=0.3, read_timeout_s=0.3, window_s=0.3, min_bytes_per_s=1000, first_pause_s=0.5)
    with pytest.raises(SourceError, match="could not be fetched"):
        bring(server, store, mode, patience=patience)


@pytest.mark.fault
def test_wrong_content_length_is_told_before_the_body(server, store):
    """The promised size is compared with the header, so a wrong gigabyte is not transferred."""
    with pytest.raises(SourceError, match=f"promised were {len(CONTENT)} bytes"):
        bring(server, store, "long")


@pytest.mark.fault
@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://10.0.0.1/x", "http://[::1]/x"]
)
def test_redirect_into_the_private_network_is_refused(server, store, target):
    """A public server must not be able to point the machine at its own network."""
    server.redirect_to = target

    with pytest.raises(SourceError, match="refused"):
        bring(server, store, "moved")


@pytest.mark.fault
def test_redirect_within_allowed_hosts_is_followed(server, store):
    """Release pages redirect to a file server as a rule."""
    server.redirect_to = server.address("ok", "numbers.bin")

    assert bring(server, store, "moved").read_bytes() == CONTENT


@pytest.mark.fault
def test_redirect_loop_ends(server, store):
    """Five hops are plenty."""
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        bring(server, store, "circle")


def http_source(server: FaultyServer, *, mode: str = "ok", pinned: bool) -> Http:
    pin_of = {"sha256": SHA256, "size": len(CONTENT)} if pinned else {}
    return Http.model_validate(
        {"kind": "http", "dataset": "numbers", "files": [{"url": server.address(mode, "numbers.bin"), **pin_of}]}
    )


def test_mirror_is_asked_before_the_origin(server, tmp_path):
    """An air-gapped machine never reaches the URL that params.yaml names."""
    mirrored = tmp_path / "mirror" / "numbers" / "numbers.bin"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    source = http_source(server, pinned=True)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", mirror=str(tmp_path / "mirror"))

    files = fetch([source], pin([source], places), places)

    assert [file.path for file in files] == [mirrored]
    assert not server.requests


def test_url_prefix_is_a_mirror_too(server, tmp_path):
    """A mirror may be a web server inside the company's network."""
    server.files["numbers/numbers.bin"] = CONTENT
    source = http_source(server, mode="down", pinned=True)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", mirror=f"{server.url}/ok", budget_s=2)

    files = fetch([source], pin([source], places), places)

    assert files[0].path.read_bytes() == CONTENT


def test_mirror_with_wrong_bytes_is_passed_over(server, tmp_path):
    """The digest of sources.lock counts, wherever bytes come from."""
    wrong = tmp_path / "mirror" / "numbers" / "numbers.bin"
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"something else")
    source = http_source(server, pinned=True)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", mirror=str(tmp_path / "mirror"))

    files = fetch([source], pin([source], places), places)

    assert files[0].path.read_bytes() == CONTENT


def test_damaged_file_in_the_store_is_fetched_again(server, tmp_path):
    """A disk fault in the downloads heals itself."""
    source = http_source(server, pinned=True)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads")
    lock = pin([source], places)
    [file] = fetch([source], lock, places)
    file.path.chmod(0o644)
    file.path.write_bytes(b"damaged")

    [again] = fetch([source], lock, places)

    assert again.path.read_bytes() == CONTENT


def test_refresh_pins_what_params_leave_open_and_sees_a_new_version(server, tmp_path):
    """An unpinned download is fixed by the lock until refresh finds another ETag; unchanged, nothing is downloaded."""
    source = http_source(server, mode="cut", pinned=False)
    server.failures = 0
    places = Places(project=tmp_path, downloads=tmp_path / "downloads")
    lock = tmp_path / "sources.lock"

    assert [change.what for change in refresh([source], lock, places)] == ["added"]
    assert read_lock(lock).sources[0].files[0].sha256 == SHA256
    assert refresh([source], lock, places) == []
    server.files["numbers.bin"] = CONTENT + b"new"
    assert [change.what for change in refresh([source], lock, places)] == ["changed"]


def test_unchanged_etag_costs_one_head_request(server, tmp_path):
    """A scheduled flow refreshes before every run: it must be cheap."""
    source = http_source(server, pinned=False)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads")
    lock = tmp_path / "sources.lock"
    refresh([source], lock, places)
    before = server.requests["ok"]

    refresh([source], lock, places)

    assert server.requests["ok"] == before + 1


def test_unpinned_download_is_refused_offline(server, tmp_path):
    """`recipe use` writes the lock without a network; what it cannot know it says."""
    with pytest.raises(SourceError, match=r"no sha256 in params.yaml. Run `headrace sources refresh`"):
        pin([http_source(server, pinned=False)], Places(project=tmp_path, downloads=tmp_path))


def test_lock_says_nothing_of_hosts_or_folders(server, tmp_path):
    """Switching recipes back must give the same lock file on every machine."""
    source = http_source(server, pinned=True)
    write_lock(tmp_path / "one.lock", pin([source], Places(project=tmp_path, downloads=tmp_path / "a", mirror="elsewhere")))
    write_lock(tmp_path / "two.lock", pin([source], Places(project=tmp_path / "sub", downloads=tmp_path / "b")))

    assert (tmp_path / "one.lock").read_bytes() == (tmp_path / "two.lock").read_bytes()
    assert b"ETag" not in (tmp_path / "one.lock").read_bytes()
