"""Pairs of idx files."""

import gzip
import struct

import numpy as np
import pytest

from headrace.errors import FormatError
from headrace.formats.idx import Options, read

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def images(pixels=PIXELS, count=None):
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, count or len(pixels), *pixels.shape[1:])
    return header + pixels.tobytes()


def labels(values=(4, 9)):
    return struct.pack(">BBBBI", 0, 0, 8, 1, len(values)) + bytes(values)


@pytest.fixture
def make_pair(make_file):
    def make(left=None, right=None, stem="train"):
        return [
            make_file(f"{stem}-images-idx3-ubyte.gz", gzip.compress(images() if left is None else left)),
            make_file(f"{stem}-labels-idx1-ubyte.gz", gzip.compress(labels() if right is None else right)),
        ]

    return make


def test_pictures_meet_their_labels(make_pair):
    """Order decides which label belongs to which picture."""
    first, second = read(make_pair(), Options())

    assert (first.label, second.label) == ("4", "9")
    assert second.payload[:, :, 0].tolist() == PIXELS[1].tolist()
    assert second.origin == "train-images-idx3-ubyte.gz:1"


@pytest.mark.parametrize(("stem", "split"), [("train", "train"), ("t10k", "test"), ("other", "")])
def test_name_tells_the_split(make_pair, stem, split):
    """MNIST's own test split must be respected."""
    assert {record.split for record in read(make_pair(stem=stem), Options())} == {split}


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        (images()[:-1], labels(), "cut short"),
        (images() + b"x", labels(), "longer than its header"),
        (images(count=1_000_000), labels(), "1000000 pictures"),
        (images(), labels((1, 2, 3)), "2 pictures"),
        (b"\x1f\x8b" + images(), labels(), "no idx file"),
        (images()[:6], labels(), "within its header"),
        (images(), struct.pack(">BBBBI", 0, 0, 13, 1, 2) + bytes(8), "type 0x0d"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 0, 3), labels(), "header is damaged"),
        (images(), labels(()), "no record"),
    ],
)
def test_damaged_pair_is_refused(make_pair, left, right, told):
    """A shifted or shortened file would give every later picture a wrong label."""
    with pytest.raises(FormatError, match=told):
        list(read(make_pair(left, right), Options()))


@pytest.mark.badinput
def test_file_without_partner_is_refused(make_pair):
    """Pictures without labels cannot be trained on, and labels without pictures are a slip."""
    with pytest.raises(FormatError, match="no labels beside it"):
        list(read(make_pair()[:1], Options()))
