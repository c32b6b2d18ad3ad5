"""DVC's own transfers through a proxy that fails: nothing wrong passes for right, and the next run of the same command recovers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faulty_proxy import FaultyProxy, proxy
from tests.sent_project import ALONE, SentProject, key, make_sent
from tests.services import ObjectStore

from headrace.errors import EngineError
from headrace.fingerprint import file_md5
from headrace.flow.launcher import Launcher
from headrace.flow.transfer import pull, push
from headrace.settings import Settings
from headrace.storage.audit import audit
from headrace.storage.dvc_config import cache_folder
from headrace.storage.dvc_remote import client_variables

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def sent(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentProject]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.variables.items():
            patch.setenv(name, value)
        yield make_sent(object_store, tmp_path_factory.mktemp("faults") / "here")


@pytest.fixture
def faulty(object_store: ObjectStore) -> Iterator[FaultyProxy]:
    with proxy(object_store.endpoint) as found:
        yield found


@pytest.fixture
def there(sent: SentProject, faulty: FaultyProxy, tmp_path: Path) -> Settings:
    """A checkout on another machine, which reaches the bucket through the proxy."""
    settings = sent.elsewhere(tmp_path / "there")
    _configure(settings, r"endpointurl = \S+", f"endpointurl = {faulty.url}")
    return settings


def _configure(settings: Settings, line: str, to: str) -> None:
    path = settings.project / ".dvc" / "config.local"
    text, changes = re.subn(line, to, path.read_text())
    assert changes == 1
    path.write_text(text)


def _told(act: Callable[[], object]) -> str:
    """The message with which it failed, '' when it went well."""
    try:
        act()
    except EngineError as error:
        return str(error)
    return ""


def _nothing_is_wrong(settings: Settings) -> None:
    """What is in the cache is what its name says, and what is in the workspace is what the stage made.

    A download that was ended leaves a part of itself, under a name that is no object's.
    """
    for path in cache_folder(settings.project).glob("files/md5/??/*"):
        if path.suffix == ".tmp":
            continue
        assert file_md5(path) == path.parent.name + path.name.removesuffix(".dir")
    for name, content in (("one", "alone\n"), ("many/1", "one\n"), ("many/2", "two\n")):
        found = settings.project / "data" / name
        assert not found.exists() or found.read_text() == content


def _all_is_here(settings: Settings) -> None:
    _nothing_is_wrong(settings)
    assert (settings.project / "data" / "one").exists()
    assert (settings.project / "data" / "many" / "2").exists()


@pytest.mark.parametrize("fault", ["busy", "reset", "short", "flip", "html"])
def test_a_pull_through_a_faulty_proxy_is_right_or_fails(there: Settings, faulty: FaultyProxy, fault: str) -> None:
    """A burst of refusals, a reset, half a body, a wrong byte, a log-in page: tried again by the client, or named and left out."""
    faulty.spoil(fault, 1, method="GET", part=key(ALONE))

    told = _told(lambda: pull(there, lambda _: None))

    assert not told or "headrace remote audit" in told
    assert faulty.times == 0
    _nothing_is_wrong(there)

    pull(there, lambda _: None)
    _all_is_here(there)


def test_a_pull_of_a_log_in_page_for_everything_fails(there: Settings, faulty: FaultyProxy) -> None:
    """Listings and looks as well: a page that parses as a listing of nothing must not pass for "everything is here"."""
    faulty.spoil("html", 10_000)

    with pytest.raises(EngineError, match="headrace remote audit"):
        pull(there, lambda _: None)
    _nothing_is_wrong(there)

    faulty.spoil("", 0)
    pull(there, lambda _: None)
    _all_is_here(there)


def test_a_pull_that_stands_still_is_ended(there: Settings, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.spoil("hang", 100, method="GET", part=key(ALONE))
    with monkeypatch.context() as patch:
        patch.setattr("headrace.flow.progress.GRACE_S", 2.0)
        with pytest.raises(EngineError, match="stood still"):
            pull(there, lambda _: None)
    _nothing_is_wrong(there)

    faulty.spoil("", 0)
    pull(there, lambda _: None)
    _all_is_here(there)


@pytest.mark.parametrize("fault", ["busy", "reset", "html", "harm"])
def test_a_push_through_a_faulty_proxy_is_right_or_fails(
    sent: SentProject, there: Settings, faulty: FaultyProxy, fault: str
) -> None:
    """What DVC takes for stored, because the answer had status 200, is looked for; what was changed on its way is not kept."""
    _configure(there, r"(?m)^dir = .*", f"dir = {cache_folder(sent.settings.project)}")
    _configure(there, r"/team/?\n", f"/{fault}/\n")
    faulty.spoil(fault, 1, method="PUT", part=key(ALONE).removeprefix("team/"))

    told = _told(lambda: push(there, lambda _: None))

    assert not told or "headrace push" in told
    assert faulty.times == 0

    push(there, lambda _: None)
    assert audit(there, sample=None).broken == []


@pytest.mark.parametrize("fault", ["reset", "flip", "html"])
def test_a_run_restores_what_is_right_or_makes_it_again(there: Settings, faulty: FaultyProxy, fault: str) -> None:
    faulty.spoil(fault, 1, method="GET", part=key(ALONE))

    with Launcher(there.project, client_variables(there)) as launcher:
        answers = [launcher.perform("reproduce", lambda _: None, stage="make", force=False, pull=True) for _ in range(2)]

    assert faulty.times == 0
    assert "result" in answers[-1]
    _all_is_here(there)
