"""data/sources.lock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import SourceError
from headrace.sources.fetch import fetch, refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import Lock, LockedFile, LockedSource, check, pin, read_lock, render, write_lock
from headrace.sources.spec import Bundled, Files, Own

DIGITS = Bundled(kind="bundled", dataset="digits")


@pytest.fixture
def places(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"x\n")
    return Places(project=tmp_path, downloads=tmp_path / "downloads")


MINE = Files(kind="files", name="mine", paths=["in"], split="train")


def test_lock_reads_back_what_was_written(places):
    """Sources in their order, with all that is needed to bring the bytes again."""
    lock = pin([MINE, DIGITS], places)
    write_lock(places.project / "sources.lock", lock)

    assert read_lock(places.project / "sources.lock") == lock
    assert [file.url for entry in lock.sources for file in entry.files] == ["file:in/a.csv", "bundled:digits"]


@given(st.lists(st.tuples(st.text(), st.text(), st.integers(0, 2**60)), max_size=4))
def test_any_name_survives_the_lock(tmp_path_factory, entries):
    """File names are free text."""
    files = [LockedFile(name=name, url=url, size=size, sha256="0" * 64) for name, url, size in entries]
    lock = Lock(sources=[LockedSource(source={"kind": "files"}, files=files)])
    try:
        text = render(lock).encode("utf-8")
    except UnicodeEncodeError:
        return
    path = tmp_path_factory.getbasetemp() / "any.lock"
    path.write_bytes(text)

    assert read_lock(path) == lock


def test_unchanged_lock_is_not_written(places):
    """Its modification time must not move, or every refresh would look like a change."""
    path = places.project / "sources.lock"

    assert write_lock(path, pin([DIGITS], places))
    assert not write_lock(path, pin([DIGITS], places))


@pytest.mark.badinput
@pytest.mark.fault
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        (b"{\n<<<<<<< HEAD\n=======\n>>>>>>> branch\n}", "marks of a merge conflict.*git merge --continue"),
        (b"not json", "cannot be understood"),
        (b"[]", "cannot be understood"),
        (b'{"format": 9, "sources": []}', "cannot be understood"),
        (b"\xff\xfe", "not text"),
    ],
)
def test_unreadable_lock_names_the_command(tmp_path, content, told):
    """Every one of these ends with what to type."""
    path = tmp_path / "sources.lock"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=told) as caught:
        read_lock(path)

    assert "headrace sources refresh" in str(caught.value)


@pytest.mark.parametrize("sources", [[], [MINE], [DIGITS, MINE], [Bundled(kind="bundled", dataset="digits", split="test")]])
def test_lock_of_other_sources_is_stale(places, sources):
    """After editing collect.sources the old lock must not be used in silence."""
    lock = pin([DIGITS], places)
    with pytest.raises(SourceError, match=r"stale.*headrace sources refresh"):
        check(sources, lock, where="data/sources.lock")


def test_lock_of_these_sources_is_fresh(places):
    """The check itself raises nothing."""
    check([DIGITS, MINE], pin([DIGITS, MINE], places), where="data/sources.lock")


def test_changed_file_is_refused_until_refresh(places):
    """The same lock must mean the same bytes."""
    path = places.project / "sources.lock"
    refresh([MINE], path, places)
    (places.project / "in" / "a.csv").write_bytes(b"y\n")
    with pytest.raises(SourceError, match=r"in/a\.csv is not what data/sources\.lock says"):
        fetch([MINE], read_lock(path), places)

    [change] = refresh([MINE], path, places)

    assert (change.source, change.file, change.what) == ("mine", "in/a.csv", "changed")
    assert [file.name for file in fetch([MINE], read_lock(path), places)] == ["in/a.csv"]


def test_new_file_is_refused_until_refresh(places):
    """A file that came later is neither ignored nor used in silence."""
    lock = pin([MINE], places)
    (places.project / "in" / "b.csv").write_bytes(b"z\n")
    with pytest.raises(SourceError, match="files came or went"):
        fetch([MINE], lock, places)


def test_own_function_brings_files(places, monkeypatch, tmp_path):
    """Its files are pinned like any other; with them in the store it is not called again."""
    module = tmp_path / "my_rows.py"
    module.write_text("def write(folder, options):\n    (folder / 'rows.csv').write_text(options['text'])\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = Own(kind="own", name="made", function="my_rows:write", options={"text": "a\n"})
    path = places.project / "sources.lock"
    refresh([own], path, places)
    monkeypatch.setattr("my_rows.write", None)

    [file] = fetch([own], read_lock(path), places)

    assert (file.name, file.path.read_text()) == ("rows.csv", "a\n")
