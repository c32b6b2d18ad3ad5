"""Records whose label is probably wrong: named, exported for review, and corrected by what comes back."""

import csv
import gzip
import json
import shutil

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headrace.baselines import dense
from headrace.dataset.shards import read_table, writer_like
from headrace.errors import DataError, ParamsError
from headrace.labels.out_of_fold import choose_model, judged_classes, out_of_fold
from headrace.labels.suspects import Params, run
from headrace.params import parse_section
from headrace.plugins import resolve
from headrace.sources.bundled import bundled_file, locate
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.sources.store import Store
from headrace.stages import collect, split

pytest.importorskip("cleanlab", reason="cleanlab is not installed: pip install headrace[labels], or make install")

SHARE = 0.03


class Project:
    """Digits whose labels were changed, collected and split."""

    def __init__(self, folder, places):
        self.folder, self.places = folder, places
        self.count = 0

    def split(self, *, source="digits.csv", corrections=False):
        """The split data set, and what `collect` reported."""
        self.count += 1
        sources = [{"kind": "files", "name": "digits", "paths": [source]}]
        if corrections:
            sources.append({"kind": "files", "name": "corrections", "paths": ["corrections.csv"]})
        values = {
            "task": "image_classification", "format": "pixel_csv", "options": {"height": 8, "width": 8, "max_value": 16},
            "record": {"height": 8, "width": 8, "channels": 1}, "classes": [str(digit) for digit in range(10)],
            "sources": sources, **({"corrections": "corrections"} if corrections else {}),
        }  # fmt: skip
        params = parse_section(values, "collect", collect.Params, where="params.yaml")
        raw, splits = self.folder / f"raw-{self.count}", self.folder / f"splits-{self.count}"
        refresh(params.sources, self.folder / "sources.lock", self.places)
        report = collect.run(params, sources=self.folder / "sources.lock", out=raw, places=self.places)
        split.run(split.Params(test=0.2, validation=0.1, seed=17), validated=raw, splits=splits)
        return splits, report


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """scikit-learn's digits in a file, and the same with 3 % of the labels changed to another class by a fixed seed."""
    folder = tmp_path_factory.mktemp("suspects")
    lines = gzip.decompress(locate(bundled_file("digits"), Store(folder)).read_bytes()).decode().splitlines()
    drawn = np.random.default_rng(17)
    flipped = drawn.choice(len(lines), round(SHARE * len(lines)), replace=False)
    wrong = list(lines)
    for row in flipped:
        pixels, _, label = wrong[row].rpartition(",")
        wrong[row] = f"{pixels},{(int(label) + int(drawn.integers(1, 10))) % 10}"
    (folder / "clean.csv").write_text("\n".join(lines) + "\n")
    (folder / "digits.csv").write_text("\n".join(wrong) + "\n")
    made = Project(folder, Places(project=folder, downloads=folder / "downloads"))
    made.truth = [line.rpartition(",")[2] for line in lines]
    made.flipped = {int(row) for row in flipped}
    return made


@pytest.fixture(scope="module")
def reviewed(project):
    """Suspects of the changed labels, and the table with the labels that a person would write beside each."""
    splits, _ = project.split()
    report = run(Params(), splits=splits, out=project.folder / "suspects.csv")
    with (project.folder / "suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["row"] = int(row["origin"].rpartition(" ")[2]) - 1
        if (true := project.truth[row["row"]]) != row["given"]:
            row.update(label=true, why="looked at")
    with (project.folder / "corrections.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return splits, report, rows


def score(splits):
    """Accuracy of a classical model on the test split, by the labels that stand there."""
    task = resolve("tasks", "image_classification", None, where="test")
    parts = [read_table(splits / name) for name in ("train", "test")]
    (x, y), (seen, wanted) = [
        (task.features(part, {"payload": "image", "shape": [8, 8, 1]}), part["label"].to_numpy()) for part in parts
    ]
    return LogisticRegression(max_iter=1000).fit(x, y).score(seen, wanted)


def test_most_changed_labels_are_among_the_suspects(project, reviewed):
    """A list of false alarms is not read, one that misses most is not worth reading."""
    _, report, rows = reviewed
    hits = {row["row"] for row in rows if row["label"]}

    assert hits <= project.flipped
    assert report.suspects == len(rows)
    assert report.model == "logistic_regression"
    assert len(hits) / len(rows) >= 0.8  # precision: .90 when this was written
    assert len(hits) / len(project.flipped) >= 0.75  # recall
    assert [row["id"] for row in rows[:3]] == [suspect.id for suspect in report.most_suspect[:3]]
    assert all(row["given"] != row["suggested"] for row in rows)
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_corrected_labels_bring_the_score_back(project, reviewed):
    """The table goes back as a source, as it is, with the true labels filled in."""
    flipped, _, rows = reviewed
    corrected, report = project.split(corrections=True)
    clean, _ = project.split(source="clean.csv")
    scores = {name: score(splits) for name, splits in (("flipped", flipped), ("corrected", corrected), ("clean", clean))}

    assert sum(report.corrections.changed.values()) == sum(bool(row["label"]) for row in rows)
    assert scores["flipped"] < scores["clean"] - 0.015
    assert scores["clean"] - scores["corrected"] < (scores["clean"] - scores["flipped"]) / 2, scores


def test_the_same_seed_names_the_same_suspects(project, reviewed, tmp_path):
    """The stage is cached."""
    run(Params(), splits=reviewed[0], out=tmp_path / "again.csv")

    assert (tmp_path / "again.csv").read_bytes() == (project.folder / "suspects.csv").read_bytes()


def test_no_record_is_judged_by_a_model_that_has_seen_it():
    """Labels drawn by lot: one nearest neighbour that has seen a record would believe every label."""
    drawn = np.random.default_rng(3)
    x, y = drawn.random((200, 5), np.float32), drawn.integers(0, 2, 200)

    class Models:
        @staticmethod
        def make(name, config, *, seed):
            from sklearn.neighbors import KNeighborsClassifier

            return KNeighborsClassifier(1)

    probabilities = out_of_fold(x, y, Models, dense.Config(), "nearest", folds=5, seed=17)

    assert 0.3 < (probabilities.argmax(1) == y).mean() < 0.7
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_the_model_is_the_first_that_gives_probabilities():
    assert choose_model(dense, dense.Config(), None, seed=17) == "logistic_regression"
    assert choose_model(dense, dense.Config(), "random_forest", seed=17) == "random_forest"


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["linear_svm", "linear", "majority"])
def test_a_model_without_probabilities_is_refused(name):
    """Without them there is nothing to rank by."""
    with pytest.raises(ParamsError, match="logistic_regression, random_forest"):
        choose_model(dense, dense.Config(), name, seed=17)


@pytest.mark.badinput
def test_a_class_with_fewer_records_than_folds_is_not_judged(project, reviewed, tmp_path):
    """Some fold would be judged by a model that has never met the class; the report says so."""
    assert judged_classes(np.array([0] * 5 + [1] * 9 + [4] * 4), 5).tolist() == [0, 1]
    with pytest.raises(DataError, match="fewer than two classes have 5"):
        judged_classes(np.array([0] * 5 + [1] * 4), 5)
    splits = tmp_path / "splits"
    for name in ("train", "validation", "test"):
        rows = read_table(reviewed[0] / name)
        with writer_like(splits / name, reviewed[0] / name) as writer:
            writer.write(
                rows.filter([label != 9 for label in rows["label"].to_pylist()]) if name != "test" else rows.slice(0, 40)
            )

    report = run(Params(folds=20), splits=splits, out=tmp_path / "out.csv")

    assert report.not_judged == ["9"]


@pytest.mark.badinput
def test_records_without_classes_are_refused(project, reviewed, tmp_path):
    """A language model's texts have no labels."""
    shutil.copytree(reviewed[0] / "train", tmp_path / "splits" / "train")
    info = tmp_path / "splits" / "train" / "dataset.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "classes": []}))

    with pytest.raises(DataError, match="no label can be wrong"):
        run(Params(), splits=tmp_path / "splits", out=tmp_path / "out.csv")
