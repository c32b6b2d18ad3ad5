"""Folders and archives of pictures."""

import io
import zipfile

import pytest

from headrace.errors import FormatError
from headrace.formats.image_folder import Options, read


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "label", "split"),
    [
        ("train/cat/1.jpg", "cat", "train"),
        ("data/val/cat/1.JPG", "cat", "validation"),
        ("cat/1.png", "cat", ""),
        ("animals/cat/1.png", "cat", ""),
    ],
)
def test_path_tells_class_and_split(make_file, name, label, split):
    """The same rule holds in a folder and in an archive."""
    in_folder = next(read([make_file(name, b"x")], Options()))
    in_archive = next(read([make_file("all.zip", archive({name: b"x"}))], Options()))

    assert (in_folder.label, in_folder.split) == (in_archive.label, in_archive.split) == (label, split)
    assert in_archive.origin == f"all.zip:{name}"


def test_split_of_the_source_counts_first(make_file):
    """params.yaml is explicit, a folder's name is a habit."""
    record = next(read([make_file("test/cat/1.jpg", b"x", split="train")], Options()))

    assert record.split == "train"


def test_what_is_no_picture_is_passed_over(make_file):
    """A README or a Finder file beside the pictures is not a bad record."""
    content = archive({"cat/1.jpg": b"x", "README.md": b"", "__MACOSX/cat/._1.jpg": b"", "cat/._2.jpg": b""})

    assert [record.origin for record in read([make_file("a.zip", content)], Options())] == ["a.zip:cat/1.jpg"]


@pytest.mark.badinput
def test_empty_and_classless_pictures_are_faulty_records(make_file):
    """Both go to quarantine with a reason."""
    records = list(read([make_file("cat/empty.jpg", b""), make_file("lonely.jpg", b"x")], Options()))

    assert [record.fault.partition(":")[0] for record in records] == ["empty", "no class"]


@pytest.mark.badinput
def test_too_large_picture_is_a_faulty_record(make_file):
    """It is not even read."""
    [record] = read([make_file("cat/1.jpg", b"x" * 11)], Options(max_file_bytes=10))

    assert record.fault.startswith("too large")


@pytest.mark.badinput
def test_archive_without_pictures_is_refused(make_file):
    """Zero records without an error is how a wrong path trains on nothing."""
    with pytest.raises(FormatError, match="holds no picture"):
        list(read([make_file("a.zip", archive({"notes.txt": b""}))], Options()))


def test_only_some_classes_may_be_read(make_file):
    """Others are passed over, not faulty: half of a data set is a data set."""
    content = archive({"train/cat/1.jpg": b"x", "train/dog/1.jpg": b"x", "test/cat/2.jpg": b"x"})
    options = Options(only=["cat"])

    assert [record.label for record in read([make_file("a.zip", content)], options)] == ["cat", "cat"]
    assert [record.label for record in read([make_file("dog/1.jpg", b"x"), make_file("cat/1.jpg", b"x")], options)] == ["cat"]


@pytest.mark.badinput
def test_a_class_that_no_picture_has_is_named(make_file):
    with pytest.raises(FormatError, match=r"collect.options.only names 'cta'"):
        list(read([make_file("cat/1.jpg", b"x")], Options(only=["cat", "cta"])))
