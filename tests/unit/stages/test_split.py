"""The stage: what it writes, counts and refuses."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
from tests.measured import write_records

from headrace.dataset.shards import read_table
from headrace.errors import DataError, ParamsError
from headrace.params import parse_section
from headrace.stages.split import Params, run

TIME = {"column": "t", "validation_from": "1970-02-01T00:00:00Z", "test_from": "1970-03-01T00:00:00Z"}


@pytest.fixture
def split(tmp_path):
    """Split records and return the report and the ids in each split."""

    def do(rows=200, params=None, **columns):
        for old in ("validated", "splits"):
            shutil.rmtree(tmp_path / old, ignore_errors=True)
        data = write_records(tmp_path / "validated", rows, **columns)
        settings = parse_section({"validation": 0.2, **(params or {})}, "split", Params, where="params.yaml")
        report = run(settings, validated=data, splits=tmp_path / "splits")
        ids = {name: read_table(tmp_path / "splits" / name, ["id"])["id"].to_pylist() for name in report.rows}
        return report, ids

    return do


def ids(rows):
    return [f"{row:032x}" for row in range(rows)]


def test_report_counts_what_was_written(split):
    """Every record is in one split or was dropped for a cause."""
    report, found = split()

    assert report.rows == {name: len(some) for name, some in found.items()}
    assert sum(report.rows.values()) + sum(drop.rows for drop in report.dropped.values()) == report.rows_in == 200
    assert {name: sum(counts.values()) for name, counts in report.classes.items()} == report.rows


def test_growing_data_move_nothing(split, tmp_path):
    """The second data set holds the first and as many new records."""
    _, before = split(200)
    data = write_records(tmp_path / "grown", 400)
    run(Params(validation=0.2), validated=data, splits=tmp_path / "again")
    after = {name: set(read_table(tmp_path / "again" / name, ["id"])["id"].to_pylist()) for name in before}

    assert all(set(some) <= after[name] for name, some in before.items())


def test_a_given_test_split_wins(split):
    """A train record that repeats a test record is dropped and counted."""
    given = ["test"] * 40 + ["train"] * 160
    report, found = split(id=[*ids(199), f"{4:032x}"], split=given, label=[i % 2 for i in range(199)] + [0])

    assert found["test"] == ids(40)
    assert report.given == {"train": 160, "validation": 0, "test": 40}
    (cause,) = report.dropped
    assert cause.endswith("repeats a record of a split that ranks higher")
    assert report.dropped[cause].example_ids == [f"{4:032x}"]


def test_contradictory_labels_are_reported_and_leave_train(split):
    """The same content under two labels teaches both; a given test record stays, once."""
    given = ["test"] * 40 + ["train"] * 160
    twice = [*ids(196), f"{50:032x}", f"{60:032x}", f"{3:032x}", f"{3:032x}"]
    labels = [i % 2 for i in range(196)] + [1, 1, 0, 1]
    given[198] = "test"
    report, found = split(id=twice, label=labels, split=given)
    everywhere = [record for some in found.values() for record in some]

    assert (report.contradictory_ids, report.contradictory_examples) == (3, [f"{i:032x}" for i in (3, 50, 60)])
    assert (found["test"].count(f"{3:032x}"), everywhere.count(f"{50:032x}"), everywhere.count(f"{3:032x}")) == (1, 0, 1)


def test_groups_stay_together(split):
    """Ten records of each patient, none in two splits."""
    report, found = split(params={"by": "group", "group_column": "patient"}, patient=[row // 10 for row in range(200)])
    patients = {name: {int(record, 16) // 10 for record in some} for name, some in found.items()}

    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["validation"]
    assert not patients["validation"] & patients["test"]
    assert report.dropped == {}


def test_groups_named_by_a_part_of_the_origin_stay_together(split):
    """Pictures of one patient lie in one folder, which `origin` tells."""
    origin = [f"patient-{row // 10}/{row}.png" for row in range(200)]
    params = {"by": "group", "group_column": "origin", "group_pattern": r"patient-(\d+)"}
    report, found = split(params=params, origin=origin)
    patients = {name: {int(record, 16) // 10 for record in some} for name, some in found.items()}

    assert not patients["train"] & (patients["test"] | patients["validation"])
    assert sum(report.rows.values()) == 200


def test_a_weight_keeps_the_same_share_of_a_sources_training_records(split):
    """Which ones is a function of id and seed; validation and test keep all of theirs."""
    columns = {"source": ["shop", "blog"] * 100, "label": [row // 2 % 2 for row in range(200)]}
    whole, all_of_them = split(**columns)
    report, found = split(params={"source_weights": {"blog": 0.25}}, **columns)
    blog = {name: {record for record in some if int(record, 16) % 2} for name, some in found.items()}
    before = {record for record in all_of_them["train"] if int(record, 16) % 2}

    assert found["test"] == all_of_them["test"]
    assert found["validation"] == all_of_them["validation"]
    assert {record for record in found["train"] if not int(record, 16) % 2} == set(all_of_them["train"]) - before
    assert 0.1 < len(blog["train"]) / len(before) < 0.4
    assert report.dropped["train: beyond the weight of its source"].rows == whole.rows["train"] - report.rows["train"]


def test_a_smaller_weight_takes_from_the_same_records(split):
    """Turning a weight down and up again moves nothing else."""
    columns = {"source": ["shop", "blog"] * 100, "label": [row // 2 % 2 for row in range(200)]}
    _, half = split(params={"source_weights": {"blog": 0.5}}, **columns)
    _, few = split(params={"source_weights": {"blog": 0.2}}, **columns)

    assert set(few["train"]) < set(half["train"])


def test_time_divides_at_the_cutoffs(split):
    """The embargo is dropped and counted."""
    days = pa.array(np.arange(90) * 86_400_000_000, pa.timestamp("us", tz="UTC"))
    report, _ = split(90, params={"by": "time", "time": {**TIME, "embargo_days": 3}}, t=days)

    assert (report.rows, {cause: drop.rows for cause, drop in report.dropped.items()}) == (
        {"train": 28, "validation": 25, "test": 31},
        {"inside the embargo before a cutoff": 6},
    )


def test_near_duplicates_of_test_leave_train(tmp_path):
    """Two pictures that differ in one grey level; the near one is named beside its partner."""
    pixels = np.random.default_rng(1).integers(0, 256, (100, 2, 2, 1), dtype=np.uint8)
    pixels[60] = pixels[0]
    pixels[60, 0, 0] ^= 1
    data = write_records(
        tmp_path / "data", 100, image=pa.FixedShapeTensorArray.from_numpy_ndarray(pixels), split=["test"] * 50 + ["train"] * 50
    )
    report = run(Params(validation=0.3, near_duplicate_tolerance=0.001), validated=data, splits=tmp_path / "splits")

    assert report.near_duplicate_examples == [[f"{60:032x}", f"{0:032x}"]]


def test_unlabelled_records_are_dropped_and_counted(split):
    """Where there are classes, a record without one teaches nothing."""
    report, _ = split(label=[-1] * 5 + [row % 2 for row in range(195)])

    assert sum(drop.rows for cause, drop in report.dropped.items() if cause.endswith("label unknown")) == 5


def test_the_same_input_gives_the_same_bytes(split, tmp_path):
    """What DVC hashes is a function of the inputs."""
    split()
    run(Params(validation=0.2), validated=tmp_path / "validated", splits=tmp_path / "again")

    for name in ("train", "validation", "test"):
        first, second = (tmp_path / folder / name / "part-00000.parquet" for folder in ("splits", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_a_share_without_effect_is_announced(split):
    """Else split.test: 0.2 beside a given test split would look obeyed."""
    report, _ = split(split=["test"] * 40 + ["train"] * 160)

    assert report.notes == ["split.test has no effect: every record comes with a split"]


def test_a_given_split_can_be_ignored(split):
    """Then records are drawn as if they said nothing."""
    drawn, _ = split()
    ignored, _ = split(params={"given": "ignore"}, split=["test"] * 200)

    assert (ignored.rows, ignored.given) == (drawn.rows, {"train": 0, "validation": 0, "test": 200})


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("rows", "params", "columns", "error", "message"),
    [
        (0, {}, {}, DataError, "no record to split"),
        (200, {"test": 0}, {}, DataError, "'test' has no record"),
        (200, {}, {"label": [0] * 200}, DataError, "no record of 1 of 2 classes"),
        (200, {}, {"split": ["tset"] * 200}, DataError, "split 'tset'"),
        (200, {"by": "group", "group_column": "sorce"}, {}, ParamsError, "Did you mean 'source'"),
        (200, {"by": "group"}, {}, ParamsError, "group_column belongs to by: group"),
        (200, {"group_column": "source"}, {}, ParamsError, "group_column belongs to by: group"),
        (200, {"source_weights": {"shp": 0.5}}, {"source": ["shop"] * 200}, ParamsError, "Did you mean 'shop'"),
        (200, {"source_weights": {"s": 2}}, {}, ParamsError, "less than or equal to 1"),
        (200, {"by": "group", "group_column": "origin", "group_pattern": "("}, {}, ParamsError, "no regular expression"),
        (200, {"group_pattern": "x"}, {}, ParamsError, "group_pattern belongs to group_column"),
        (200, {"by": "time", "time": TIME}, {"split": ["test"] * 200, "t": ["x"] * 200}, DataError, "by: time would break"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_refused(split, rows, params, columns, error, message):
    """With the next step, before anything is written."""
    with pytest.raises(error, match=message):
        split(rows, params, **columns)
