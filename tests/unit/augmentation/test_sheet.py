"""The contact sheet."""

import numpy as np
import pytest
from PIL import Image

from headrace.augmentation import image_classification as pictures
from headrace.augmentation.policy import PolicyConfig
from headrace.augmentation.sheet import SheetRow, sheet_rows, write_sheet
from headrace.dataset.schema import read_info

TURN = PolicyConfig.model_validate({"affine": {"degrees": 20}})


def test_sheet_shows_one_original_of_each_class_present(make_split):
    """A reader looks for every class, in class order."""
    train = make_split([2, 0, 2, 0]) / "train"
    info = read_info(train)

    rows = sheet_rows(train, info, pictures.copier(TURN, info.record, seed=1), variants=3)

    assert [row.name for row in rows] == ["class 0", "class 2"]
    assert [len(row.variants) for row in rows] == [3, 3]


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 1, 3), (300, 40, 3), (4, 4, 4)])
def test_sheet_is_equal_to_the_byte_for_any_shape(tmp_path, shape):
    """DVC hashes it, and small, large, grey and transparent pictures must all fit."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = [SheetRow("a class with a name far too long for its column", pixels, [pixels, pixels])] * 2
    for name in ("a.png", "b.png"):
        write_sheet(rows, tmp_path / name, title="Title", subtitle="Transforms: affine")

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size[0] >= 640


def test_sheet_without_rows_says_so(tmp_path):
    """An empty training split still leaves the stage with its output."""
    write_sheet([], tmp_path / "empty.png", title="Title", subtitle="none")

    assert (tmp_path / "empty.png").stat().st_size > 0
