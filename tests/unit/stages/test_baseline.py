from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.dataset.shards import ShardWriter
from headrace.errors import DataError
from headrace.stages.baseline import Params, run


def make_split(folder: Path, labels: list[int], *, seed: int) -> None:
    """4x4 grey pictures whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    y = np.asarray(labels, dtype=np.int64)
    pixels = (40 + 80 * y[:, None, None, None] + rng.integers(0, 40, (len(y), 4, 4, 1))).astype(np.uint8)
    image = (
        pa.array([], pa.fixed_shape_tensor(pa.uint8(), (4, 4, 1)))
        if len(y) == 0
        else pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
    )
    blank = pa.array([""] * len(y), pa.string())
    names = pa.array([f"{folder.name}{n:04d}" for n in range(len(y))], pa.string())
    table = pa.table({"id": names, "image": image, "label": pa.array(y), "split": blank, "source": blank, "origin": blank})
    record = {"payload": "image", "shape": [4, 4, 1], "dtype": "uint8"}
    with ShardWriter(
        folder, table.schema, task="image_classification", classes=["dark", "grey", "light"], record=record
    ) as writer:
        writer.write(table)


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    make_split(tmp_path / "splits/train", [0, 1, 2] * 20, seed=1)
    make_split(tmp_path / "splits/test", [0, 1, 2] * 5, seed=2)
    return tmp_path / "splits"


def test_classical_models_beat_the_majority(splits, tmp_path):
    """A floor that does not learn an easy task would let anything through."""
    models = ("majority", "logistic_regression", "linear_svm", "rbf_svm", "random_forest")
    report = run(Params(models=models), splits=splits, out=tmp_path / "baselines.parquet")

    assert report.models["majority"].accuracy == pytest.approx(1 / 3)
    assert all(report.models[name].accuracy == 1 for name in models[1:])
    assert report.sampled is False


def test_the_same_inputs_give_the_same_bytes(splits, tmp_path):
    """DVC hashes the file."""
    params = Params(models=("majority", "logistic_regression", "linear_svm", "rbf_svm", "random_forest"))
    for name in ("a", "b"):
        run(params, splits=splits, out=tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_sample_is_drawn_and_stated(splits, tmp_path):
    """A kernel machine on everything may take an hour; the report says on what it stands."""
    report = run(Params(max_records=12), splits=splits, out=tmp_path / "baselines.parquet")

    assert (report.training_records, report.used_records, report.sampled) == (60, 12, True)


def test_rows_are_the_test_split_once_per_model(splits, tmp_path):
    """Evaluate pairs them by id."""
    run(Params(models=("majority", "linear_svm")), splits=splits, out=tmp_path / "baselines.parquet")
    table = pq.read_table(tmp_path / "baselines.parquet")

    assert table["model"].to_pylist() == ["majority"] * 15 + ["linear_svm"] * 15
    assert table["id"].to_pylist()[:15] == table["id"].to_pylist()[15:]
    assert table["probabilities"].null_count == 15, "a linear SVM gives decisions only"


def test_a_solver_that_stops_early_is_reported_and_no_crash(splits, tmp_path):
    """Warnings are errors in these tests, so a leaked one would fail here."""
    params = Params.model_validate({"models": ["logistic_regression"], "config": {"max_iterations": 1}})
    report = run(params, splits=splits, out=tmp_path / "baselines.parquet")

    result = report.models["logistic_regression"]
    assert not result.converged
    assert "converge" in result.problems[0]


def test_a_class_missing_from_training_gets_probability_zero(tmp_path):
    """Columns are the data set's classes, not those the model has seen."""
    make_split(tmp_path / "splits/train", [0, 2] * 10, seed=1)
    make_split(tmp_path / "splits/test", [0, 1, 2], seed=2)
    run(Params(models=("logistic_regression",)), splits=tmp_path / "splits", out=tmp_path / "out.parquet")
    rows = np.array(pq.read_table(tmp_path / "out.parquet")["probabilities"].to_pylist())

    assert rows.shape == (3, 3)
    assert (rows[:, 1] == 0).all()


@pytest.mark.badinput
def test_one_class_is_refused_by_name(tmp_path):
    """There is nothing to tell apart."""
    make_split(tmp_path / "splits/train", [1] * 10, seed=1)
    make_split(tmp_path / "splits/test", [1] * 3, seed=2)

    with pytest.raises(DataError, match="all belong to class 'grey'"):
        run(Params(), splits=tmp_path / "splits", out=tmp_path / "out.parquet")


@pytest.mark.badinput
@pytest.mark.parametrize("empty", ["train", "test"])
def test_an_empty_split_is_refused(tmp_path, empty):
    """Zero rows must not become zero accuracy."""
    for name in ("train", "test"):
        make_split(tmp_path / "splits" / name, [] if name == empty else [0, 1, 2], seed=1)

    with pytest.raises(DataError, match="has no records"):
        run(Params(), splits=tmp_path / "splits", out=tmp_path / "out.parquet")


@pytest.mark.badinput
def test_an_unknown_label_is_refused(tmp_path):
    """-1 as an index would be the last class."""
    make_split(tmp_path / "splits/train", [0, 1, -1], seed=1)
    make_split(tmp_path / "splits/test", [0, 1, 2], seed=1)

    with pytest.raises(DataError, match="label -1"):
        run(Params(), splits=tmp_path / "splits", out=tmp_path / "out.parquet")
