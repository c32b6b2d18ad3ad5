"""One record a line, its class in front."""

import pytest

from headrace.errors import FormatError
from headrace.formats import labelled_lines
from headrace.formats.record import SourceFile


def read(tmp_path, content, **options):
    (tmp_path / "lines.txt").write_bytes(content)
    file = SourceFile("lines.txt", tmp_path / "lines.txt", "wire", "train")
    return list(labelled_lines.read([file], labelled_lines.Options(**options)))


def test_the_first_separator_counts_and_signs_get_their_names(tmp_path):
    """A sentence has separators of its own."""
    found = read(tmp_path, b"1 a good film\n\n0 a bad one\n", names={"0": "negative", "1": "positive"})

    assert [(r.payload, r.label, r.split, r.origin) for r in found] == [
        ("a good film", "positive", "train", "lines.txt:line 1"),
        ("a bad one", "negative", "train", "lines.txt:line 3"),
    ]


def test_a_file_can_be_the_class_of_all_its_lines(tmp_path):
    """Lines are text alone then, a separator in them too; in the encoding that is declared."""
    found = read(tmp_path, b"caf\xe9 at its best\n\n 1 of ten\n", files={"lines.txt": "positive"}, encoding="latin-1")

    assert [(r.payload, r.label, r.origin) for r in found] == [
        ("caf\u00e9 at its best", "positive", "lines.txt:line 1"),
        (" 1 of ten", "positive", "lines.txt:line 3"),
    ]


@pytest.mark.badinput
def test_a_file_without_a_class_is_refused_where_files_have_classes(tmp_path):
    """With the names that were meant."""
    with pytest.raises(FormatError, match=r"has no class: collect\.options\.files names films\.neg, films\.pos"):
        read(tmp_path, b"a film\n", files={"films.pos": "positive", "films.neg": "negative"})


@pytest.mark.badinput
def test_lines_that_cannot_be_read_are_faulty_records(tmp_path):
    """Each with its reason, none dropped in silence."""
    found = read(tmp_path, b"nothing\n 1\n1 \xa3 5\n1 fine\n", invalid_bytes="quarantine")

    assert [r.fault.partition(":")[0] for r in found] == ["no class", "no class", "encoding", ""]


@pytest.mark.badinput
def test_a_file_without_a_line_or_of_another_encoding_is_refused(tmp_path):
    """Zero rows must not look like a data set."""
    with pytest.raises(FormatError, match="holds no line"):
        read(tmp_path, b"\n\n")
    with pytest.raises(FormatError, match="byte 2 is not utf-8"):
        read(tmp_path, b"1 \xa3 5\n")
