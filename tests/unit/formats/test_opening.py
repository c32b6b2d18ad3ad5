"""Whole files that are not what they seem."""

import gzip

import pytest

from headrace.errors import FormatError
from headrace.formats import opening
from headrace.formats.opening import iter_lines


def lines(file, **options):
    return list(iter_lines(file, **options))


def test_gzip_is_recognised_by_content(make_file):
    """Browsers and servers drop or add .gz at will."""
    assert lines(make_file("a.csv", gzip.compress(b"x,y\n1,2\n"))) == ["x,y", "1,2"]


def test_byte_order_mark_is_dropped(make_file):
    """Else the mark would be part of the first column's name."""
    assert lines(make_file("a.csv", b"\xef\xbb\xbfid\r\n1\r\n")) == ["id", "1"]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.csv", b"", "is empty"),
        ("page.csv", b"\n <!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("not.csv.gz", b"a,b\n1,2\n", "named .gz"),
        ("cut.csv.gz", gzip.compress(b"a,b\n" * 10_000, mtime=0)[:-30], "cut short"),
        ("no-trailer.csv.gz", gzip.compress(b"a,b\n", mtime=0)[:-8], "cut short"),
        ("flip.csv.gz", bytes([*gzip.compress(b"a,b\n" * 99, mtime=0)[:-6], 0, 0, 0, 0, 0, 0]), "damaged gzip"),
        ("zip.csv", b"PK\x03\x04....", "a zip archive"),
        ("table.csv", b"PAR1....", "a Parquet file"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("nul.csv", b"a\0b\n", "NUL"),
        ("latin.csv", "name\nMüller\n".encode("latin-1"), "line 2: byte 1 is not utf-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_file_is_refused_with_its_reason(make_file, name, content, told):
    """A reader that guessed would make other records of it."""
    with pytest.raises(FormatError, match=told) as caught:
        lines(make_file(name, content))

    assert name in str(caught.value)


def test_stated_encoding_is_used(make_file):
    """latin-1 files are fine when params.yaml says so."""
    assert lines(make_file("a.txt", "Müller\n".encode("latin-1")), encoding="latin-1") == ["Müller"]


@pytest.mark.badinput
def test_line_without_end_is_refused(make_file, monkeypatch):
    """A 2 GB single line must not be read into memory."""
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 1000)
    with pytest.raises(FormatError, match="line of more than 1000 bytes"):
        lines(make_file("a.csv", b"x" * 5000))
