"""A registered model as a place to start from, in real registries."""

import pytest
from safetensors.numpy import save_file
from tests.integration.test_registry import register_in

from headrace.errors import RegistryError, SourceError
from headrace.fingerprint import file_sha256
from headrace.registry.tags import CHALLENGER
from headrace.registry.weights import resolve_version
from headrace.sources.initial import bring_initial, look
from headrace.sources.places import Places
from headrace.storage.manifest import write_manifest
from headrace.tracking.store import connect


@pytest.fixture
def put(sqlite_store, make_package):
    """Register a network of so many weights as the next version of model low."""

    def register(size: int):
        import numpy as np

        package = make_package(f"package-{size}", fingerprint=f"{size}" * 64)
        save_file({"a.weight": np.full((size, size), 1.0, dtype=np.float32)}, package / "model.safetensors")
        (package / "manifest.json").unlink()
        write_manifest(package)
        return register_in(sqlite_store, "low", package)

    return register


@pytest.fixture
def places(sqlite_store, tmp_path):
    return Places(project=tmp_path, downloads=tmp_path / "downloads", registry=sqlite_store)


def test_an_alias_is_a_version_until_somebody_looks_again(put, places, tmp_path):
    """What was pinned is brought although the alias has moved on, and from this machine's own store although the registry is gone."""
    put(2)
    pinned = look("models:/low@challenger", places)
    put(3)
    offline = Places(project=tmp_path, downloads=places.downloads)
    bring_initial(pinned, offline, tmp_path / "out")
    later = look("models:/low@challenger", places, pinned)

    assert (pinned.version, later.version) == ("1", "2")
    assert pinned.package != later.package
    assert file_sha256(tmp_path / "out" / "model.safetensors") == pinned.files[0].sha256 != later.files[0].sha256
    assert {file.url for file in pinned.files} == {"models:/low/1/model.safetensors", "models:/low/1/model.json"}


def test_another_machine_brings_the_pinned_version_from_the_registry(put, places, tmp_path, sqlite_store):
    put(2)
    pinned = look("models:/low@challenger", places)
    put(3)
    bring_initial(pinned, Places(project=tmp_path, downloads=tmp_path / "elsewhere", registry=sqlite_store), tmp_path / "out")

    assert file_sha256(tmp_path / "out" / "model.safetensors") == pinned.files[0].sha256


def test_the_same_version_is_not_brought_again(put, places):
    """A scheduled run looks every night; only the answer of the registry is needed."""
    put(2)
    pinned = look("models:/low/1", places)

    assert look("models:/low/1", places, pinned) is pinned
    assert look("models:/low/1", places, pinned, full=True) == pinned


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("init_from", "told"),
    [
        ("models:/lwo@champion", "no model is registered as 'lwo'. Did you mean 'low'"),
        ("models:/low@champion", rf"model 'low' has no champion. Its aliases: {CHALLENGER} \(version 1\)"),
        ("models:/low/7", "model 'low' has no version 7. Its versions: 1"),
    ],
)
def test_what_the_registry_does_not_have_is_named_with_what_it_has(put, sqlite_store, init_from, told):
    put(2)

    with pytest.raises(RegistryError, match=told):
        resolve_version(sqlite_store, init_from)


@pytest.mark.badinput
def test_an_empty_registry_says_so(sqlite_store):
    with pytest.raises(RegistryError, match="The registry has no model at all"):
        resolve_version(sqlite_store, "models:/low@champion")


@pytest.mark.badinput
def test_a_model_of_another_kind_has_no_weights(sqlite_store, make_package, places):
    """A linear model in ONNX is a model, and no network."""
    register_in(sqlite_store, "low", make_package())

    with pytest.raises(SourceError, match=r"its package has no model.safetensors"):
        look("models:/low@challenger", places)


@pytest.mark.fault
def test_a_version_that_was_made_anew_is_not_what_was_pinned(put, places, tmp_path, sqlite_store):
    """A registry may lose a version and give its number to another one: the digest decides."""
    put(2)
    pinned = look("models:/low/1", places)
    client = connect(sqlite_store.uri)
    client.delete_registered_model("low")
    put(3)

    with pytest.raises(SourceError, match=r"model.safetensors is not what data/sources.lock says"):
        bring_initial(pinned, Places(project=tmp_path, downloads=tmp_path / "elsewhere", registry=sqlite_store), tmp_path / "out")
