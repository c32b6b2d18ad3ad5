"""Rows of pixels."""

import numpy as np
import pytest

from headrace.errors import FormatError
from headrace.formats.pixel_csv import Options, read

OPTIONS = Options(height=1, width=2, max_value=16)


def test_pixels_are_scaled_to_white(make_file):
    """16 levels become 0..255, the last of them white."""
    [record] = read([make_file("a.csv", b"0,16,7\n")], OPTIONS)

    assert record.payload.tolist() == [[[0], [255]]]
    assert record.payload.dtype == np.uint8
    assert (record.label, record.origin) == ("7", "a.csv:row 1")


def test_id_content_leaves_the_label_out(make_file):
    """The same picture under two labels is one record with a contradiction, not two records."""
    one, two = read([make_file("a.csv", b"1,2,3\n1,2,4\n")], OPTIONS)

    assert one.content == two.content


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"1,2", "columns"),
        (b"1,2,3,4", "columns"),
        (b"1,x,3", "not a number"),
        (b"1,nan,3", "range"),
        (b"1,1e400,3", "range"),
        (b"-1,2,3", "range"),
        (b"1,17,3", "range"),
        (b"1,2,", "label"),
        (b"=cmd(),2,3", "not a number"),
    ],
)
def test_bad_row_is_a_faulty_record(make_file, row, fault):
    """It goes to quarantine with a reason; its neighbours stay."""
    good, bad = read([make_file("a.csv", b"1,2,3\n" + row + b"\n")], OPTIONS)

    assert good.fault == ""
    assert bad.fault.startswith(fault)
    assert bad.payload is None


@pytest.mark.badinput
def test_every_row_one_longer_is_a_wrong_description(make_file):
    """Some readers take the surplus column for an index and go on."""
    with pytest.raises(FormatError, match="found 4, expected 3"):
        list(read([make_file("a.csv", b"0,1,2,3\n" * 5)], OPTIONS))


@pytest.mark.badinput
def test_header_without_rows_is_refused(make_file):
    """Pandas returns an empty frame and no error."""
    with pytest.raises(FormatError, match="no row below its header"):
        list(read([make_file("a.csv", b"a,b,c\n")], OPTIONS.model_copy(update={"header": True})))
