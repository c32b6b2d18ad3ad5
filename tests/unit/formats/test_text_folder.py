"""Folders and archives of texts."""

import io
import tarfile

import pytest

from headrace.errors import FormatError, ParamsError
from headrace.formats import text_folder
from headrace.formats.record import SourceFile
from headrace.params import parse_section


def options(**values) -> text_folder.Options:
    return parse_section(values, "collect.options", text_folder.Options, where="params.yaml")


def write(folder, files):
    found = []
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found.append(SourceFile(name, path, "wire"))
    return found


def test_the_folder_is_the_class_and_the_one_above_it_the_split(tmp_path):
    """The layout of most collections of texts."""
    files = write(tmp_path, {"train/sport/1.txt": b"goal", "dev/money/2.txt": b"bank", "money/3.txt": b"rate"})

    found = [(r.payload, r.label, r.split) for r in text_folder.read(files, options())]

    assert found == [("goal", "sport", "train"), ("bank", "money", "validation"), ("rate", "money", "")]


def test_an_archive_is_read_and_a_readme_passed_over(tmp_path):
    """A README is no article of the class 'bbc'."""
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for name, content in {"bbc/README.TXT": b"read me", "bbc/sport/1.txt": b"goal", "bbc/sport/x.png": b"p"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    found = list(text_folder.read([SourceFile("all.tar.gz", tmp_path / "all.tar.gz", "wire")], options()))

    assert [(r.payload, r.label, r.origin) for r in found] == [("goal", "sport", "all.tar.gz:bbc/sport/1.txt")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("£ 5".encode("utf-8-sig"), "£ 5"),
        (b"\xff\xfe" + "£ 5".encode("utf-16-le"), "£ 5"),
        (b"\xfe\xff" + "£ 5".encode("utf-16-be"), "£ 5"),
        ("£ 5".encode(), "£ 5"),
    ],
)
def test_a_byte_order_mark_decides(content, text):
    """It says what the bytes are, and is not part of the text."""
    assert text_folder.decode(content, "utf-8", None) == (text, "")


@pytest.mark.badinput
def test_bytes_of_another_encoding_are_a_faulty_record_or_read_by_the_fallback(tmp_path):
    """One article of BBC news is latin-1: it is kept where the params say so, and never guessed."""
    files = write(tmp_path, {"sport/1.txt": "£ 5".encode("latin-1")})

    (strict,) = text_folder.read(files, options())
    (kept,) = text_folder.read(files, options(fallback_encoding="latin-1"))

    assert strict.fault == "encoding: byte 0 is not utf-8 (invalid start byte)"
    assert (kept.payload, kept.fault) == ("£ 5", "")


@pytest.mark.badinput
def test_a_text_without_class_or_too_large_is_a_faulty_record(tmp_path):
    """They are counted and quarantined."""
    files = write(tmp_path, {"1.txt": b"goal", "sport/2.txt": b"x" * 100})

    found = [r.fault for r in text_folder.read(files, options(max_file_bytes=10))]

    assert [fault.partition(":")[0] for fault in found] == ["no class", "too large"]


@pytest.mark.badinput
def test_no_text_at_all_is_refused(tmp_path):
    """Zero rows must not look like a data set."""
    with pytest.raises(FormatError, match="no text among 1 files"):
        list(text_folder.read(write(tmp_path, {"sport/1.png": b"x"}), options()))


@pytest.mark.badinput
def test_an_unknown_encoding_is_refused_by_its_key():
    """A typing error must not quarantine every record."""
    with pytest.raises(ParamsError, match="no encoding is called 'latin1x'"):
        options(encoding="latin1x")
