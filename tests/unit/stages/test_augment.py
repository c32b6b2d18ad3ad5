"""The stage: params, files, report."""

import csv

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.texts import sentences, write_texts

from headrace.dataset.schema import read_info
from headrace.dataset.shards import ShardWriter, read_table
from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.stages.augment import Params, run

TURN = {"policy": {"affine": {"degrees": 10}}}


def params(**values):
    return parse_section(values, "augment", Params, where="params.yaml")


@pytest.fixture
def splits(tmp_path):
    """Three grey pictures of two classes."""
    schema = pa.schema(
        [("id", pa.string()), ("image", pa.fixed_shape_tensor(pa.uint8(), (4, 4, 1))), ("label", pa.int64())]
        + [(name, pa.string()) for name in ("split", "source", "origin", "fault")]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
    record = {"payload": "image", "shape": [4, 4, 1], "dtype": "uint8"}
    with ShardWriter(
        tmp_path / "splits" / "train", schema, task="image_classification", classes=["a", "b"], record=record
    ) as writer:
        columns = [["x", "y", "z"], pa.FixedShapeTensorArray.from_numpy_ndarray(pixels), [0, 1, 0], *[[""] * 3] * 4]
        writer.write(pa.table([c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=schema))
    return tmp_path / "splits"


def test_stage_counts_what_it_made(splits, tmp_path):
    """The numbers of the report are those of the data set."""
    report = run(params(copies=2, **TURN), splits=splits, out=tmp_path / "out", plots=tmp_path / "plots")

    assert (report.samples_in, report.samples_out) == (3, 6)
    assert report.by_class_out == {"a": 4, "b": 2} == read_info(tmp_path / "out").by_class
    assert report.policy == {"affine": {"degrees": 10.0}}
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["contact_sheet.png"]


def test_no_copies_is_a_data_set_without_rows(splits, tmp_path):
    """`train` reads data/augmented in any case."""
    report = run(params(copies=0), splits=splits, out=tmp_path / "out", plots=tmp_path / "plots")

    assert report.samples_out == 0
    assert read_info(tmp_path / "out").rows == 0


def test_records_that_are_no_pictures_pass_without_copies(tmp_path):
    """A task of one's own needs no transforms."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("label", pa.int64()), ("split", pa.string())])
    with ShardWriter(tmp_path / "s" / "train", schema, task="json:decoder", classes=["a"], record={"payload": "text"}) as writer:
        writer.write(pa.table([["x"], ["word"], pa.array([0]), [""]], schema=schema))

    report = run(params(copies=0), splits=tmp_path / "s", out=tmp_path / "out", plots=tmp_path / "plots")

    assert report.samples_out == 0
    with pytest.raises(ParamsError, match=r"records cannot be changed.*\n?.*augment\.copies"):
        run(params(copies=1, **TURN), splits=tmp_path / "s", out=tmp_path / "o", plots=tmp_path / "p")


def test_a_policy_of_nothing_makes_no_copies(splits, tmp_path):
    """A transform of strength 0 would fill the training split with repeats."""
    with pytest.raises(ParamsError, match="changes nothing"):
        run(params(copies=1, policy={"noise": 0}), splits=splits, out=tmp_path / "out", plots=tmp_path / "plots")


def test_texts_are_shown_before_and_after_in_a_table(tmp_path):
    """What a contact sheet is for pictures."""
    write_texts(tmp_path / "train", sentences(4))

    report = run(params(copies=1, policy={"drop_words": 0.5}), splits=tmp_path, out=tmp_path / "out", plots=tmp_path / "plots")

    with (tmp_path / "plots" / "examples.csv").open(newline="") as file:
        shown = list(csv.DictReader(file))
    assert [row["class"] for row in shown] == ["sport", "money"]
    assert shown[0]["copy"] == read_table(tmp_path / "out")["text"][0].as_py()
    assert report.samples_out == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"copies": 1}, "every copy would repeat its original"),
        ({"copies": -1, **TURN}, "augment.copies"),
        ({"copies": 30, **TURN}, "above max_copies"),
        ({"copys": 1, **TURN}, "Did you mean 'copies'"),
    ],
)
def test_params_that_make_no_sense_are_refused(values, message):
    """Before any record is read."""
    with pytest.raises(ParamsError, match=message):
        params(**values)
