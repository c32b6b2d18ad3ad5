import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from headrace.errors import DataError
from headrace.evaluation.classification import Options, draw, judge
from headrace.evaluation.predictions import read_predictions
from headrace.evaluation.significance import compare


@pytest.fixture
def judged(saved, probabilities, model):
    labels = np.random.default_rng(5).integers(0, 3, 120)
    saved.save(labels, probabilities(labels, 3))
    saved.save_baselines(labels, majority=np.zeros(120), svm=np.where(np.arange(120) % 9, labels, 0))
    return judge(saved.predictions, saved.baselines, model, Options())


def test_every_metric_equals_scikit_learns_on_the_saved_predictions(judged, saved):
    """Numbers in the report can be checked by anyone from the file beside it."""
    test = read_predictions(saved.predictions, "test", classes=3)
    y, p, hat = test.labels, test.probabilities, test.probabilities.argmax(1)

    assert judged.metrics == {
        "accuracy": sk.accuracy_score(y, hat),
        "precision_macro": sk.precision_score(y, hat, average="macro"),
        "recall_macro": sk.recall_score(y, hat, average="macro"),
        "f1_macro": sk.f1_score(y, hat, average="macro"),
        "f1_weighted": sk.f1_score(y, hat, average="weighted"),
        "roc_auc_macro": pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr", average="macro")),
        "average_precision_macro": pytest.approx(sk.average_precision_score(np.eye(3)[y], p, average="macro")),
        "log_loss": sk.log_loss(y, p),
        "ece": judged.metrics["ece"],  # test_calibration.py
    }


def test_every_class_row_and_cell_equals_scikit_learns(judged, saved):
    """Tables too."""
    test = read_predictions(saved.predictions, "test", classes=3)
    y, p, hat = test.labels, test.probabilities, test.predicted
    matrix = sk.confusion_matrix(y, hat)
    names = judged.details["classes"]

    for k, row in enumerate(judged.details["per_class"]):
        assert row["precision"] == sk.precision_score(y == k, hat == k)
        assert row["recall"] == sk.recall_score(y == k, hat == k)
        assert row["f1"] == sk.f1_score(y == k, hat == k)
        assert row["roc_auc"] == sk.roc_auc_score(y == k, p[:, k])
        assert row["average_precision"] == sk.average_precision_score(y == k, p[:, k])
    for cell in judged.tables["confusion_counts"]:
        assert cell["count"] == matrix[names.index(cell["actual"]), names.index(cell["predicted"])]
    assert sum(cell["count"] for cell in judged.tables["confusion_counts"]) == len(y)


def test_plotted_curves_have_the_area_that_is_reported(judged):
    """A curve thinned for plotting must still be the curve."""
    for row in judged.details["per_class"]:
        points = [point for point in judged.tables["roc"] if point["class"] == row["class"]]
        assert sk.auc([q["fpr"] for q in points], [q["tpr"] for q in points]) == pytest.approx(row["roc_auc"])


@pytest.mark.badinput
def test_a_class_without_test_records_has_no_auc_and_says_why(saved, probabilities, model):
    """AUC needs both sides; a made-up 0.5 or 0 would enter an average."""
    labels = np.array([0, 1] * 20)
    saved.save(labels, probabilities(labels, 3))
    saved.save_baselines(labels, majority=np.zeros(40))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judged = judge(saved.predictions, saved.baselines, model, Options())

    assert judged.details["per_class"][2]["roc_auc"] is None
    assert "No record of class 'cat'" in judged.notes[0]
    assert judged.metrics["roc_auc_macro"] == pytest.approx(np.mean([r["roc_auc"] for r in judged.details["per_class"][:2]]))


@pytest.mark.badinput
def test_a_test_split_of_one_class_has_an_undefined_auc_and_is_drawn(saved, probabilities, model, tmp_path):
    """Everything else is still measured, and the figures do not fall over."""
    labels = np.zeros(2, dtype=np.int64)
    saved.save(labels, probabilities(labels, 3))
    saved.save_baselines(labels, majority=np.zeros(2))

    judged = judge(saved.predictions, saved.baselines, model, Options())
    comparison = compare(judged.scores, judged.baseline_scores, resamples=100, seed=0)
    titles = draw(judged, (0.1, 0.9), comparison, tmp_path)

    assert judged.metrics["roc_auc_macro"] is None
    assert any("nothing to rank it against" in note for note in judged.notes)
    assert "undefined" in titles["roc"]


@pytest.mark.badinput
def test_a_model_of_fewer_than_two_classes_is_refused(saved):
    """One class needs no model."""
    with pytest.raises(DataError, match="names 1 classes"):
        judge(saved.predictions, saved.baselines, {"classes": ["only"]}, Options())


def test_figures_are_the_same_bytes_every_time(judged, tmp_path):
    """DVC hashes them: a date inside would rerun what follows."""
    comparison = compare(judged.scores, judged.baseline_scores, resamples=100, seed=0)
    pictures = []
    for name in ("first", "second"):
        folder = Path(tmp_path / name)
        folder.mkdir()
        titles = draw(judged, (0.5, 0.9), comparison, folder)
        pictures.append({path.name: path.read_bytes() for path in folder.iterdir()})

    assert pictures[0] == pictures[1]
    assert {f"{name}.png" for name in titles} == set(pictures[0])


def test_class_names_that_look_like_formulas_are_drawn(saved, probabilities, tmp_path):
    """A dollar sign starts mathematics in matplotlib; a name is a name."""
    model = {"classes": ["$a_", "$\\frac$", "<b>"]}
    labels = np.arange(30) % 3
    saved.save(labels, probabilities(labels, 3))
    saved.save_baselines(labels, majority=np.zeros(30))
    judged = judge(saved.predictions, saved.baselines, model, Options())

    assert draw(judged, (0.1, 0.9), compare(judged.scores, judged.baseline_scores, resamples=100, seed=0), tmp_path)


def test_accuracy_by_length_is_that_of_each_quarter(saved, probabilities, model):
    """A model that fails on long texts must not hide behind the short ones."""
    labels = np.arange(40) % 3
    p = probabilities(labels, 3)
    saved.save(labels, p)
    saved.save_baselines(labels, majority=0 * labels)
    words = np.repeat([10, 20, 30, 40], 10)
    table = pq.read_table(saved.predictions)
    pq.write_table(table.append_column("words", pa.array(words)), saved.predictions, write_page_checksum=True)

    judged = judge(saved.predictions, saved.baselines, model, Options())

    right = p.argmax(axis=1) == labels
    found = [(row["smallest"], row["largest"], row["records"], row["accuracy"]) for row in judged.details["slices"]]
    assert found == [(n, n, 10, right[words == n].mean()) for n in (10, 20, 30, 40)]
    assert judged.tables["slices"] == judged.details["slices"]


def test_accuracy_by_source_is_that_of_each(saved, probabilities, model):
    """Merged data must not hide that one source is read badly."""
    labels = np.arange(40) % 3
    p = probabilities(labels, 3)
    saved.save(labels, p)
    saved.save_baselines(labels, majority=0 * labels)
    source = np.array(["shop", "blog"] * 20)
    table = pq.read_table(saved.predictions)
    pq.write_table(table.append_column("source", pa.array(source)), saved.predictions, write_page_checksum=True)

    judged = judge(saved.predictions, saved.baselines, model, Options())

    right = p.argmax(axis=1) == labels
    found = [(row["smallest"], row["largest"], row["records"], row["accuracy"]) for row in judged.details["slices"]]
    assert found == [(name, name, 20, right[source == name].mean()) for name in ("blog", "shop")]


def test_without_measured_columns_there_are_no_slices(judged):
    """Pictures have none, and their report stays as it was."""
    assert "slices" not in judged.details
