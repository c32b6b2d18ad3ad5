"""Files of running text, whatever is wrong with them."""

from pathlib import Path

import pytest

from headrace.errors import FormatError
from headrace.formats.plain_text import Options, read
from headrace.formats.record import SourceFile


def book(folder: Path, content: bytes, *, split: str = "") -> list[SourceFile]:
    path = folder / "book.txt"
    path.write_bytes(content)
    return [SourceFile("book.txt", path, "shelf", split)]


def test_stretches_together_are_the_file(tmp_path):
    """A file of any size fits into memory, and nothing is lost between two stretches."""
    text = "".join(f"line {number}\nof a paragraph\n\n" for number in range(200))
    records = list(read(book(tmp_path, text.encode(), split="train"), Options(stretch_characters=500)))
    assert len(records) > 5
    assert "".join(record.payload for record in records) == text
    assert {record.split for record in records} == {"train"}
    assert records[1].payload.startswith("line")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "holds no text"),
        ("caf\u00e9\n".encode("latin-1"), "line 1: byte 3 is not utf-8"),
        (b"one\0two\n", "NUL bytes"),
        (b"<!doctype html><html>log in</html>", "a web page"),
    ],
    ids=["empty", "blank", "latin-1", "NUL", "web page"],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, words):
    """With its name and what to do, before anything is trained on it."""
    with pytest.raises(FormatError, match=words):
        list(read(book(tmp_path, content), Options()))


def test_another_encoding_is_declared(tmp_path):
    """Latin-1 text is read where the recipe says so."""
    records = list(read(book(tmp_path, "caf\u00e9\n".encode("latin-1")), Options(encoding="latin-1")))

    assert [record.payload for record in records] == ["caf\u00e9\n"]
