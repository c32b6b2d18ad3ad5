"""The manifest: any change to a folder is found and named."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import DataError
from headrace.storage.manifest import NAME, verify, write_manifest

names = st.text("abcxyz.-_ é", min_size=1, max_size=8).filter(lambda name: name.strip(". ") and name != NAME)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package" / "sub").mkdir(parents=True)
    (tmp_path / "package" / "model.bin").write_bytes(b"weights")
    (tmp_path / "package" / "sub" / "notes.txt").write_bytes(b"notes")
    write_manifest(tmp_path / "package")
    return tmp_path / "package"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(names, st.binary(max_size=50), max_size=5))
def test_what_was_written_verifies(tmp_path_factory, files):
    """Round trip, for any names and contents; every file is listed with its size."""
    folder = tmp_path_factory.mktemp("package")
    for name, content in files.items():
        (folder / name).write_bytes(content)

    write_manifest(folder)

    assert {name: each["bytes"] for name, each in verify(folder).items()} == {
        name: len(content) for name, content in files.items()
    }


def test_manifest_is_the_same_wherever_the_folder_is(folder, tmp_path):
    """It is hashed: no path, no order of the file system."""
    again = folder.rename(tmp_path / "elsewhere")
    before = (again / NAME).read_bytes()

    write_manifest(again)

    assert (again / NAME).read_bytes() == before


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.bin").write_bytes(b"weighty"), "model.bin has changed"),
        (lambda folder: (folder / "model.bin").write_bytes(b"weight"), "model.bin has changed"),
        (lambda folder: (folder / "sub" / "notes.txt").unlink(), r"sub/notes.txt is missing"),
        (lambda folder: (folder / "more.py").write_bytes(b""), "more.py is not in the manifest"),
        (lambda folder: (folder / NAME).unlink(), "has no manifest.json"),
        (lambda folder: (folder / NAME).write_text("[]"), "is not a manifest"),
        (lambda folder: (folder / NAME).write_text(json.dumps({"files": {"model.bin": {}}})), "is not a manifest"),
    ],
)
def test_every_change_is_refused_by_name(folder, change, message):
    """A swapped model must not be served, and the message must say which file to look at."""
    change(folder)

    with pytest.raises(DataError, match=message):
        verify(folder)


@pytest.mark.badinput
def test_link_in_place_of_a_file_is_refused(folder, tmp_path):
    """What a link points to can change after the check."""
    (folder / "model.bin").rename(tmp_path / "outside")
    (folder / "model.bin").symlink_to(tmp_path / "outside")

    with pytest.raises(DataError, match="is a link"):
        verify(folder)
