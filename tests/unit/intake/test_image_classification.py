"""Pictures on their way in."""

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headrace.dataset.shards import ShardWriter, read_table
from headrace.errors import DataError
from headrace.formats.record import RawRecord
from headrace.intake import image_classification as intake
from headrace.tasks import image_classification as task

OPTIONS = intake.RecordOptions(height=4, width=6, channels=3)
RECORD = intake.record_info(OPTIONS)


def picture(seed=0, size=(4, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def raw(payload, label="cat", **more):
    return RawRecord(payload, label, "train", "mine", f"a.zip:{label}/1.png", **more)


def rows(*raws, options=OPTIONS):
    return intake.make_rows(raws, {"cat": 0, "dog": 1}, options)


def test_file_and_array_of_one_picture_give_the_same_pixels():
    """A PNG and an idx entry are two ways to the same record."""
    table = rows(raw(png(picture())), raw(picture()))

    first, second = task.inputs(table, RECORD)
    assert np.array_equal(first, second)
    assert np.array_equal(first, picture())


def test_measured_columns_agree_with_numpy():
    """Validation judges these without touching the pixels."""
    row = rows(raw(png(picture())), raw(picture(1), "dog")).to_pylist()[1]

    assert (row["height"], row["width"], row["channels"], row["bytes"], row["label"]) == (4, 6, 3, 72, 1)
    assert row["mean"] == pytest.approx(picture(1).mean())
    assert row["std"] == pytest.approx(picture(1).std())


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=50, deadline=None)
def test_mean_and_std_hold_for_every_range(height, width, low, high):
    """Integer sums must not overflow where a picture is white, nor go below zero where it has one value."""
    low, high = sorted((low, high))
    pixels = np.random.default_rng(1).integers(low, high + 1, (height, width, 1), dtype=np.uint8)
    row = rows(raw(pixels), options=intake.RecordOptions(height=height, width=width, channels=1)).to_pylist()[0]

    assert row["mean"] == pytest.approx(pixels.mean(), abs=1e-4)
    assert row["std"] == pytest.approx(pixels.std(), abs=1e-3)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (raw(b"junk"), "not an image"),
        (raw(png(picture(size=(5, 6, 3)))), "size"),
        (raw(picture(size=(4, 6, 1))), "channels"),
        (raw(np.full((4, 6, 3), 300)), "pixels"),
        (raw({"a": "1"}), "not an image"),
        (raw(None, fault="columns: found 2"), "columns"),
        (raw([1, 2, 3]), "pixels"),
        (raw(picture(), "horse"), "unknown class"),
    ],
)
def test_bad_record_stays_as_a_row_with_its_reason(record, fault):
    """Nothing is dropped in silence; the black picture that stands in is marked, and has no mean that a check could accept."""
    good, bad = rows(raw(picture()), record).to_pylist()

    assert good["fault"] == ""
    assert bad["fault"].startswith(fault)
    assert (bad["mean"] is None) == (fault != "unknown class")


def test_rows_without_pixels_survive_the_disk(tmp_path):
    """Their neighbours must not move."""
    table = rows(raw(b"junk"), raw(picture()), raw(b"junk2"))
    with ShardWriter(
        tmp_path / "raw", table.schema, task="image_classification", classes=["cat", "dog"], record=RECORD
    ) as writer:
        writer.write(table)

    back = task.inputs(read_table(tmp_path / "raw"), RECORD)
    assert np.array_equal(back[1], picture())
    assert not back[0].any()
    assert not back[2].any()


def test_size_is_taken_from_the_first_pictures():
    """Without a size in params.yaml most pictures decide, and the odd one becomes faulty."""
    raws = [raw(picture(n)) for n in range(3)] + [raw(picture(size=(9, 9, 3))), raw(b"junk")]

    settled = intake.settle(intake.RecordOptions(), raws)

    assert (settled.height, settled.width, settled.channels) == (4, 6, 3)


@pytest.mark.badinput
def test_no_readable_picture_is_told_with_the_first_reason():
    """A wrong format shows at once, not as a data set of faults."""
    with pytest.raises(DataError, match=r"not one of the first 2 pictures can be read .*not an image"):
        intake.settle(intake.RecordOptions(), [raw(b"junk"), raw(b"junk")])


def test_pictures_of_other_sizes_are_fitted_when_asked():
    """The measured columns keep the size of the file."""
    options = intake.RecordOptions(height=4, width=6, channels=3, fit="crop")
    row = rows(raw(png(picture(size=(50, 40, 3)))), options=options)

    assert task.inputs(row, RECORD).shape == (1, 4, 6, 3)
    assert row.column("height").to_pylist() == [50]


def test_equal_content_has_one_id_whatever_its_label():
    """Duplicates and contradictory labels are found by the id."""
    one, two, three = rows(raw(png(picture())), raw(png(picture()), "dog"), raw(png(picture(1)))).column("id").to_pylist()

    assert one == two != three
    assert len(one) == 32


def test_schema_of_rows_is_the_promised_one():
    """The writer is opened with the schema before the first rows exist."""
    assert rows(raw(picture())).schema == intake.record_schema(OPTIONS)
    assert isinstance(rows(raw(picture())), pa.Table)
