"""Weights to start from come in like a source: pinned, verified, and never code."""

import json

import pytest

from headrace.errors import ParamsError, RegistryError, SourceError
from headrace.fingerprint import file_sha256
from headrace.sources.fetch import refresh
from headrace.sources.initial import asked_for, bring_initial, look, pin_initial
from headrace.sources.places import Places
from headrace.sources.snapshot import Lock, LockedFile, LockedInitial, read_lock, render
from headrace.sources.spec import Bundled

DIGITS = Bundled(kind="bundled", dataset="digits")
REGISTERED = LockedInitial(
    init_from="models:/low@champion",
    version="3",
    package="d" * 64,
    files=[LockedFile(name="model.safetensors", url="models:/low/3/model.safetensors", size=3, sha256="a" * 64)],
)


@pytest.fixture
def places(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"xyz")
    (tmp_path / "weights" / "model.json").write_text("{}")
    (tmp_path / "old.bin").write_bytes(b"\x80\x04")
    return Places(project=tmp_path, downloads=tmp_path / "downloads")


def test_a_file_is_pinned_and_brought(places):
    """By its content: the lock says which bytes, and `train` gets a folder whatever the file was called."""
    found = look("weights/model.safetensors", places)
    bring_initial(found, places, places.project / "out")

    assert [(file.name, file.size) for file in found.files] == [("weights/model.safetensors", 3)]
    assert sorted(path.name for path in (places.project / "out").iterdir()) == ["initial.json", "model.safetensors"]
    told = json.loads((places.project / "out" / "initial.json").read_text())
    assert told == {"format": 1, "init_from": "weights/model.safetensors", "version": None, "package": None}


def test_a_folder_brings_its_description(places):
    bring_initial(look("weights", places), places, places.project / "out")

    assert (places.project / "out" / "model.json").read_text() == "{}"


def test_a_folder_of_transformers_brings_what_it_is_understood_by(places):
    """Nothing else of it: a hub's folder has the same weights in four formats."""
    folder = places.project / "encoder"
    folder.mkdir()
    names = ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"]
    for name in [*names, "pytorch_model.bin", "vocab.txt", "modeling_own.py"]:
        (folder / name).write_text(name)
    found = look("encoder/", places)
    bring_initial(found, places, places.project / "out")

    assert sorted(file.name for file in found.files) == [f"encoder/{name}" for name in names]
    assert sorted(path.name for path in (places.project / "out").iterdir()) == sorted([*names, "initial.json"])
    assert all((places.project / "out" / name).read_text() == name for name in names)


def test_nothing_to_start_from_is_a_folder_that_says_so(places):
    """The same bytes in every recipe that starts from nothing: `train` does not run again for it."""
    bring_initial(None, places, places.project / "out")

    assert [path.name for path in (places.project / "out").iterdir()] == ["initial.json"]
    assert "null" in (places.project / "out" / "initial.json").read_text()


def test_the_lock_without_weights_is_what_it_was(places):
    """No recipe's data/sources.lock changes because there may be weights."""
    assert "initial" not in render(Lock(sources=[]))


def test_the_lock_reads_back_what_was_written(places):
    path = places.project / "sources.lock"
    path.write_text(render(Lock(sources=[], initial=REGISTERED)))

    assert read_lock(path).initial == REGISTERED


def test_a_refresh_tells_of_new_weights(places):
    """As of any file of a source."""
    lock = places.project / "sources.lock"
    refresh([DIGITS], lock, places)
    assert [change.source for change in refresh([DIGITS], lock, places, init_from="weights")] == ["train.init_from"] * 2
    assert refresh([DIGITS], lock, places, init_from="weights") == []
    (places.project / "weights" / "model.safetensors").write_bytes(b"other")

    assert [(change.file, change.what) for change in refresh([DIGITS], lock, places, init_from="weights")] == [
        ("weights/model.safetensors", "changed")
    ]
    assert {change.what for change in refresh([DIGITS], lock, places)} == {"removed"}


def test_without_a_network_only_the_version_of_the_lock_is_known(places):
    """Switching recipes back keeps the version that was pinned, and asks nobody."""
    assert pin_initial("models:/low@champion", places, REGISTERED) == REGISTERED
    assert pin_initial(None, places, REGISTERED) is None
    with pytest.raises(SourceError, match="known only after the registry was asked"):
        pin_initial("models:/low@champion", places, None)


@pytest.mark.badinput
def test_weights_that_changed_since_they_were_pinned_are_refused(places):
    found = look("weights", places)
    (places.project / "weights" / "model.safetensors").write_bytes(b"zyx")
    digest = file_sha256(places.project / "weights" / "model.safetensors")

    with pytest.raises(SourceError, match=rf"not what data/sources.lock says \(sha256 {digest[:12]}.*headrace sources refresh"):
        bring_initial(found, places, places.project / "out")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("init_from", "told"),
    [
        ("nowhere.safetensors", "no file at nowhere.safetensors"),
        ("old.bin", "no .safetensors file. Formats that run code"),
        (".", "the folder . has no model.safetensors"),
    ],
)
def test_what_cannot_be_weights_is_named(places, init_from, told):
    with pytest.raises(SourceError, match=told):
        look(init_from, places)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", r"pytorch_model\.bin: formats that run code when they are opened are not read"),
        ("model.safetensors.index.json", "in several files: save them as one"),
    ],
)
def test_a_folder_with_other_weights_is_told_what_to_do(places, name, told):
    folder = places.project / "encoder"
    folder.mkdir()
    for each in ("config.json", name):
        (folder / each).write_text("{}")
    with pytest.raises(SourceError, match=rf"the folder encoder has no model.safetensors\..*{told}"):
        look("encoder", places)


@pytest.mark.badinput
@pytest.mark.parametrize("init_from", ["models:/low", "models:/low@", "models:low/3", "models:/a/b/3", "models:/low/0"])
def test_a_model_is_named_with_an_alias_or_a_version(places, init_from):
    from headrace.registry.weights import Wanted

    with pytest.raises(RegistryError, match="models:/NAME@champion, or models:/NAME/3"):
        Wanted.parse(init_from)


@pytest.mark.badinput
@pytest.mark.parametrize("value", [3, "", "/home/me/weights.safetensors", "~/weights"])
def test_a_place_of_one_machine_is_refused(value):
    with pytest.raises(ParamsError, match=r"train\.init_from"):
        asked_for({"train": {"init_from": value}})


def test_what_is_asked_for_stands_in_the_section_train():
    assert asked_for({"train": {"init_from": "weights"}}) == "weights"
    assert asked_for({"train": {}}) is None
    assert asked_for({}) is None
