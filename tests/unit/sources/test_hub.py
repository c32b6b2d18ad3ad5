"""A model of a hub is a commit and the sha256 of its files; whoever has them asks nobody again."""

import dataclasses
import json

import pytest
from pydantic import SecretStr
from tests.hub import NAME, serving

from headrace.errors import ParamsError, SourceError
from headrace.settings import load_settings
from headrace.sources.fetch import refresh
from headrace.sources.hub import HubModel
from headrace.sources.initial import bring_initial, look, pin_initial
from headrace.sources.places import Places, places_of
from headrace.sources.snapshot import read_lock
from headrace.sources.spec import Bundled

MODEL = f"hf://{NAME}"
FILES = {"README.md": b"# An encoder", "config.json": b"{}", "tokenizer.json": b"{ }", "model.safetensors": b"weights"}
BROUGHT = ["config.json", "initial.json", "model.safetensors", "tokenizer.json"]


@pytest.fixture
def hub():
    with serving() as hub:
        yield hub


@pytest.fixture
def places(hub, tmp_path):
    return Places(project=tmp_path, downloads=tmp_path / "downloads", budget_s=1.0, hub=hub.url)


def test_a_name_is_pinned_as_a_commit_and_brought(hub, places):
    """The lock names the commit and not the server: who reaches the hub by another address gets the same bytes."""
    sha = hub.commit(FILES)
    found = look(MODEL, places)
    bring_initial(found, places, places.project / "out")

    assert found.version == sha
    assert {file.name: file.url for file in found.files} == {
        name: f"{MODEL}@{sha}/{name}" for name in FILES if name != "README.md"
    }
    assert sorted(path.name for path in (places.project / "out").iterdir()) == BROUGHT
    assert (places.project / "out" / "model.safetensors").read_bytes() == b"weights"
    assert json.loads((places.project / "out" / "initial.json").read_text())["version"] == sha


def test_a_refresh_writes_it_and_tells_what_moved(hub, places):
    """A commit that changed a page about the model moves nothing: no training for that. What git only points to stays where it is."""
    lock, digits = places.project / "sources.lock", Bundled(kind="bundled", dataset="digits")
    first = hub.commit(FILES)
    assert len(refresh([digits], lock, places, init_from=MODEL)) == 1 + 3
    assert not any(path.endswith("model.safetensors") for path in hub.asked)
    hub.commit({**FILES, "README.md": b"# A better page"})
    assert refresh([digits], lock, places, init_from=MODEL) == []
    assert read_lock(lock).initial.version == first
    second = hub.commit({**FILES, "model.safetensors": b"better"})

    assert "model.safetensors" in {change.file for change in refresh([digits], lock, places, init_from=MODEL)}
    assert read_lock(lock).initial.version == second


def test_without_the_hub_the_pinned_files_come_from_the_downloads(hub, places):
    """A branch may move on, and the network may be gone: what is pinned is brought again."""
    hub.commit(FILES)
    found = look(MODEL, places)
    bring_initial(found, places, places.project / "out")
    hub.commit({**FILES, "model.safetensors": b"better"})
    offline = dataclasses.replace(places, hub="http://127.0.0.1:9")
    bring_initial(found, offline, places.project / "again")

    assert (places.project / "again" / "model.safetensors").read_bytes() == b"weights"
    assert pin_initial(MODEL, offline, found) == found
    with pytest.raises(SourceError, match=r"known only after the hub was asked.*headrace sources refresh"):
        pin_initial(f"{MODEL}@v2", offline, found)


def test_a_commit_in_params_is_asked_for_once(hub, places):
    sha = hub.commit(FILES)
    found = look(f"{MODEL}@{sha}", places)
    hub.asked.clear()

    assert look(f"{MODEL}@{sha}", places, found) == found
    assert hub.asked == []


def test_a_mirror_has_the_files_under_the_name_of_the_model(hub, places):
    """As for other sources; with the sha256 of the lock it needs no trust."""
    hub.commit(FILES)
    found = look(MODEL, places)
    (places.project / "mirror" / NAME).mkdir(parents=True)
    (places.project / "mirror" / NAME / "model.safetensors").write_bytes(b"weights")
    hub.asked.clear()
    bring_initial(found, dataclasses.replace(places, mirror="mirror"), places.project / "out")

    assert not any(path.endswith("model.safetensors") for path in hub.asked)


def test_the_token_goes_to_the_hub_only(hub, places):
    """Large files are redirected to other servers, which have no business with it."""
    hub.commit(FILES)
    private = dataclasses.replace(places, hub_token=SecretStr("hf_secret"))
    with serving() as other:
        other.commit(FILES)
        hub.large_files_at = other.url
        bring_initial(look(MODEL, private), private, places.project / "out")

        assert other.tokens == {""}
        assert [path.rpartition("/")[2] for path in other.asked] == ["model.safetensors"]
    assert hub.tokens == {"Bearer hf_secret"}
    assert "hf_secret" not in repr(private)


def test_hub_and_token_are_read_from_the_usual_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "dvc.yaml").touch()
    settings = load_settings(tmp_path)
    found = places_of(settings)

    assert (found.hub, found.hub_token.get_secret_value()) == ("https://hub.example", "hf_secret")
    assert "hf_secret" not in repr(settings)


@pytest.mark.badinput
def test_a_token_with_strange_signs_is_not_shown(hub, places):
    with pytest.raises(SourceError, match="HF_TOKEN has signs that no token has") as told:
        look(MODEL, dataclasses.replace(places, hub_token=SecretStr("hf_sec\nret")))

    assert "hf_sec" not in str(told.value)


@pytest.mark.badinput
@pytest.mark.parametrize("hub_url", ["hub.example", "http://hub:port", "http://[::1", "ftp://hub.example"])
def test_an_endpoint_that_is_no_url_is_named(places, hub_url):
    with pytest.raises(SourceError, match=r"HF_ENDPOINT is '.*', which is no http:// or https:// URL"):
        look(MODEL, dataclasses.replace(places, hub=hub_url))


@pytest.mark.fault
def test_a_changed_file_is_refused(hub, places):
    """A commit cannot change; a server can."""
    sha = hub.commit(FILES)
    found = look(MODEL, places)
    hub.commits[sha]["model.safetensors"] = b"WEIGHTS"
    patient = dataclasses.replace(places, budget_s=60.0)

    with pytest.raises(SourceError, match=r"model\.safetensors of hf://.*did not come: wrong bytes, 3 times.*HEADRACE_MIRROR"):
        bring_initial(found, patient, places.project / "out")
    assert not (places.project / "out" / "model.safetensors").exists()


@pytest.mark.fault
def test_a_hub_that_does_not_answer_is_told(places):
    nobody = dataclasses.replace(places, hub="http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"could not be asked for hf://tiny/encoder@main.*HF_ENDPOINT.*headrace run"):
        look(MODEL, nobody)


@pytest.mark.fault
def test_a_file_that_is_gone_is_told(hub, places):
    sha = hub.commit(FILES)
    found = look(MODEL, places)
    del hub.commits[sha]["model.safetensors"]

    with pytest.raises(SourceError, match=r"has no model\.safetensors any more\. Choose another revision"):
        bring_initial(found, places, places.project / "out")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("refusal", "token", "told"),
    [
        ((404, "RepoNotFound"), None, r"tiny/encoder does not exist, or has no revision main \(404\)"),
        ((401, "RepoNotFound"), None, r"does not exist, is private or is gated \(401\).*set HF_TOKEN"),
        ((401, ""), "hf_old", r"not shown to the token in HF_TOKEN \(401\)"),
        ((403, "GatedRepo"), "hf_new", r"is gated\. Accept its terms there, and set HF_TOKEN"),
        ((410, ""), None, "answered 410"),
    ],
)
def test_what_the_hub_refuses_is_told_with_a_remedy(hub, places, refusal, token, told):
    hub.refusal = refusal
    with pytest.raises(SourceError, match=told) as error:
        look(MODEL, dataclasses.replace(places, hub_token=SecretStr(token) if token else None))

    assert not token or token not in str(error.value)


@pytest.mark.badinput
def test_a_revision_that_does_not_exist_is_told(hub, places):
    hub.commit(FILES)
    with pytest.raises(SourceError, match=r"has no revision refs/pr/7\. Write a branch, a tag or a commit"):
        look(f"{MODEL}@refs/pr/7", places)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", r"pytorch_model\.bin: formats that run code when they are opened are not read"),
        ("model.safetensors.index.json", "in several files: save them as one"),
    ],
)
def test_other_weights_are_refused_by_name(hub, places, name, told):
    """As in a folder, and nothing of them is downloaded."""
    hub.commit({"config.json": b"{}", name: b"\x80\x04"})
    with pytest.raises(SourceError, match=rf"{MODEL} has no model\.safetensors\..*{told}"):
        look(MODEL, places)
    assert len(hub.asked) == 1


@pytest.mark.badinput
def test_a_server_that_is_no_hub_is_told(hub, places):
    hub.commit(FILES)
    hub.revisions["main"] = "short"
    hub.commits["short"] = FILES
    with pytest.raises(SourceError, match=r"does not answer as a hub does.*Correct HF_ENDPOINT"):
        look(MODEL, places)


@pytest.mark.badinput
@pytest.mark.parametrize("text", ["hf://", "hf://a/b/c", "hf://a/../b", "hf://a/b@", "hf://a/b@x y", "hf://../b", "hf://a/b?x=1"])
def test_a_name_that_is_none_is_refused(text):
    with pytest.raises(ParamsError, match="hf://owner/name@revision"):
        HubModel.parse(text)
