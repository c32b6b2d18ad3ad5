"""Which files a `files` source means."""

import os

import pytest

from headrace.errors import SourceError
from headrace.sources.files import DigestCache, find_files
from headrace.sources.places import Places
from headrace.sources.spec import Files


@pytest.fixture
def places(tmp_path):
    project = tmp_path / "project"
    for name in ("in/cat/1.jpg", "in/cat/2.jpg", "in/dog/1.jpg", "in/.DS_Store", "in/deep/er/x.csv"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return Places(project=project, downloads=tmp_path / "downloads")


def names(places, *paths):
    return [found.name for found in find_files(Files(kind="files", name="mine", paths=list(paths)), places)]


def test_folder_means_everything_below_it_sorted(places):
    """Order must not depend on the file system; a Finder file is no data."""
    assert names(places, "in") == ["in/cat/1.jpg", "in/cat/2.jpg", "in/deep/er/x.csv", "in/dog/1.jpg"]


def test_globs_and_repeats_give_each_file_once(places):
    """Two patterns may overlap."""
    assert names(places, "in/*/1.jpg", "in/cat", "in/**/*.csv") == [
        "in/cat/1.jpg",
        "in/cat/2.jpg",
        "in/deep/er/x.csv",
        "in/dog/1.jpg",
    ]


@pytest.mark.badinput
@pytest.mark.parametrize("path", ["absent", "in/*.png"])
def test_path_that_matches_nothing_is_refused(places, path):
    """A typing error must not become an empty source."""
    with pytest.raises(SourceError, match="no file at"):
        names(places, path)


@pytest.mark.badinput
def test_link_inside_a_folder_is_refused(places):
    """It may lead to /etc/passwd, to a loop, or to nothing on another machine."""
    (places.project / "in" / "link").symlink_to("/etc")
    with pytest.raises(SourceError, match="in/link is a link to /etc"):
        names(places, "in")


def test_link_that_params_name_is_followed(places):
    """A data disk mounted elsewhere is linked into the project as a rule."""
    (places.project / "data").symlink_to(places.project / "in" / "cat")

    assert names(places, "data") == ["data/1.jpg", "data/2.jpg"]


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["new\nline", "tab\t", os.fsdecode(b"latin-\xfc")])
def test_file_name_with_control_signs_is_refused(places, name):
    """It would break line-based reports and archives, or not exist on another system."""
    (places.project / "in" / name).write_bytes(b"")
    with pytest.raises(SourceError, match="Rename the file"):
        names(places, "in")


@pytest.mark.parametrize("name", ["-rf", "ürgh", "a b", "\u202egpj.exe"])
def test_strange_but_honest_names_are_kept(places, name):
    """Names are data, not commands."""
    (places.project / "in" / "cat" / name).write_bytes(b"")

    assert f"in/cat/{name}" in names(places, "in/cat")


def test_digest_is_remembered_until_the_file_changes(places):
    """Refreshing a folder of a million pictures is a walk, not a read."""
    path = places.project / "in" / "cat" / "1.jpg"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    first = DigestCache(places)
    size, digest = first.sha256(path)
    first.save()
    path.write_bytes(b"IN/CAT/1.JPG")
    os.utime(path, (1_000_000_000, 1_000_000_000))

    assert DigestCache(places).sha256(path) == (size, digest)
    os.utime(path, (1_000_000_001, 1_000_000_001))
    assert DigestCache(places).sha256(path)[1] != digest


def test_fresh_file_is_not_remembered(places):
    """Another write within the same tick of the clock would not show in its time."""
    cache = DigestCache(places)
    cache.sha256(places.project / "in" / "cat" / "1.jpg")
    cache.save()

    assert not (places.notes / "digests.json").exists()
