import numpy as np
import pyarrow.parquet as pq
import pytest

from headrace.errors import DataError
from headrace.evaluation.predictions import Predictions, read_baselines, read_predictions, write_baselines

GOOD = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)


def broken(value: float) -> np.ndarray:
    p = GOOD.copy()
    p[1, 1] = value
    return p


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("probabilities", "reason"),
    [
        (broken(np.nan), "NaN or infinite.*id001"),
        (broken(np.inf), "NaN or infinite"),
        (broken(-0.1), "negative"),
        (broken(0.5), "do not sum to 1"),
        (GOOD[:, :2], "expected 3 numbers"),
    ],
)
def test_untrustworthy_probabilities_are_refused(saved, probabilities, reason):
    """The argmax of NaN is an index like any other: unchecked, a broken model gets an accuracy."""
    saved.save([0, 1], probabilities)

    with pytest.raises(DataError, match=reason):
        read_predictions(saved.predictions, "test", classes=3)


@pytest.mark.badinput
def test_a_record_that_stands_twice_is_refused(saved):
    """It would count twice in every metric."""
    saved.save([0, 1], GOOD, ids=["a", "a"])

    with pytest.raises(DataError, match="record a stands twice"):
        read_predictions(saved.predictions, "test", classes=3)


@pytest.mark.badinput
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(saved, label):
    """-1 is an unknown label: nothing can be measured on it."""
    saved.save([0, label], GOOD)

    with pytest.raises(DataError, match=f"label {label} of record id001"):
        read_predictions(saved.predictions, "test", classes=3)


@pytest.mark.badinput
def test_no_rows_of_the_split_is_refused(saved):
    """Metrics of nothing are not zero."""
    saved.save([0, 1], GOOD, split="validation")

    with pytest.raises(DataError, match="no rows of split 'test'"):
        read_predictions(saved.predictions, "test", classes=3)


@pytest.mark.badinput
def test_a_flipped_byte_is_refused(saved):
    """Plain Parquet returns it as data; the page checksum does not."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=500).astype(np.float32)
    saved.save(np.zeros(500, dtype=np.int64), p)
    content = bytearray(saved.predictions.read_bytes())
    place = pq.ParquetFile(saved.predictions).metadata.row_group(0).column(3)
    content[(place.dictionary_page_offset or place.data_page_offset) + place.total_compressed_size // 2] ^= 1
    saved.predictions.write_bytes(content)

    with pytest.raises(DataError, match="damaged"):
        read_predictions(saved.predictions, "test", classes=3)


@pytest.mark.badinput
def test_equally_probable_classes_give_the_first(saved):
    """A tie has one stated answer."""
    saved.save([0], np.array([[0.4, 0.4, 0.2]], dtype=np.float32))

    assert read_predictions(saved.predictions, "test", classes=3).predicted.tolist() == [0]


@pytest.mark.badinput
@pytest.mark.parametrize("ids", [["id000"], ["id000", "other"]])
def test_baselines_of_other_records_are_refused(saved, ids):
    """Paired statistics on unpaired records are numbers about nothing."""
    saved.save([0, 1], GOOD)
    test = read_predictions(saved.predictions, "test", classes=3)
    saved.save_baselines([0, 1][: len(ids)], ids, majority=[0] * len(ids))

    with pytest.raises(DataError, match="rerun `baseline` and `train`"):
        read_baselines(saved.baselines, test, classes=3)


@pytest.mark.badinput
def test_baselines_with_other_labels_are_refused(saved):
    """The same ids with other labels come from another version of the data."""
    saved.save([0, 1], GOOD)
    saved.save_baselines([0, 2], majority=[0, 0])

    with pytest.raises(DataError, match="another label"):
        read_baselines(saved.baselines, read_predictions(saved.predictions, "test", classes=3), classes=3)


def test_baselines_come_back_in_the_candidates_order(saved):
    """Pairing is by id, not by row."""
    saved.save([0, 1], GOOD)
    saved.save_baselines([1, 0], ["id001", "id000"], model=[2, 0])

    found = read_baselines(saved.baselines, read_predictions(saved.predictions, "test", classes=3), classes=3)

    assert found["model"].predicted.tolist() == [0, 2]


def test_decisions_without_probabilities_survive_the_file(saved):
    """Null fixed-size lists could be written and not read back (pyarrow 25)."""
    saved.save([0, 1], GOOD)
    test = read_predictions(saved.predictions, "test", classes=3)
    decisions = Predictions(test.ids, test.labels, test.predicted, GOOD)
    saved.save_baselines([0, 1], svm=[0, 1])
    only_decisions = pq.read_table(saved.baselines)["probabilities"]
    write_baselines(saved.baselines, {"lr": decisions, "again": decisions})

    assert only_decisions.null_count == 2
    assert pq.read_table(saved.baselines)["probabilities"][0].as_py() == GOOD[0].tolist()
    assert list(read_baselines(saved.baselines, test, classes=3)) == ["lr", "again"]
