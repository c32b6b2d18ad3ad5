import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset.shards import ShardWriter
from headrace.evaluation.page.context import PageContext
from headrace.evaluation.report import build, write_report
from headrace.stages.evaluate import Params, run

CLASSES = ["ant", "<script>alert(1)</script>", "cat"]


class Checker(HTMLParser):
    """Collects what a browser would fetch, and whether tags are balanced."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "path", "circle", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.without_alt = 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.fetched += [values[key] for key in ("src", "href", "srcset") if values.get(key)]
        self.without_alt += tag == "img" and not values.get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def finished(tmp_path_factory, saved_in, probabilities) -> Path:
    """A project after `evaluate`, with the test and train splits that its ids are in."""
    folder = tmp_path_factory.mktemp("finished")
    saved, labels = saved_in(folder), np.arange(60) % 3
    saved.save(labels, probabilities(labels, 3))
    saved.save_baselines(labels, majority=np.zeros(60), rbf_svm=np.where(np.arange(60) % 7, labels, 0))
    (folder / "model.json").write_text(
        json.dumps({"format": 1, "task": "image_classification", "classes": CLASSES, "fingerprint": "f00d"})
    )
    root = folder / "project"
    plots = root / "reports/plots/evaluate"
    params = Params(evaluation="classification", resamples=500, max_regression=1.0)
    report = run(params, model=folder / "model.json", predictions=saved.predictions, baselines=saved.baselines, plots=plots)
    (root / "reports/evaluate.json").write_text(report.to_json())
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 1), dtype=np.uint8)
    columns = {name: pa.array([""] * 60, pa.string()) for name in ("split", "source", "origin")}
    columns |= {"id": pa.array([f"id{n:03d}" for n in range(60)]), "image": pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)}
    table = pa.table(columns | {"label": pa.array(labels, pa.int64())})
    record = {"payload": "image", "shape": [8, 8, 1], "dtype": "uint8"}
    for split in ("train", "test"):
        target = root / "data/splits" / split
        with ShardWriter(target, table.schema, task="image_classification", classes=CLASSES, record=record) as writer:
            writer.write(table)
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "project"))


def test_page_says_the_verdict_first_and_fetches_nothing(project):
    """One file that can be mailed: no script, font or picture from elsewhere."""
    page = build(project, PageContext(title="insects"))
    checker = check(page)

    assert re.search(r"<h1>The model may ship: accuracy \d\d\.\d\s%, with 95\s%", page)
    assert all(address.startswith("data:image/png;base64,") for address in checker.fetched)
    assert "script" not in checker.tags
    assert checker.without_alt == 0


def test_mistakes_are_shown_as_the_pictures_of_their_ids(project):
    """Ids resolve in the data set."""
    worst = json.loads((project / "reports/evaluate.json").read_text())["details"]["worst_mistakes"]
    page = build(project)

    assert worst
    assert page.count("<li><img") == len(worst)
    assert all(f">{row['id']}</code>" in page for row in worst)


@pytest.mark.badinput
def test_names_from_the_data_cannot_become_markup(project):
    """A class name is the user's text, or an attacker's."""
    page = build(project, PageContext(title="<img src=x>"))

    assert "<script" not in page
    assert "<img src=x" not in page


def test_an_empty_folder_still_has_a_page(tmp_path):
    """Every missing piece is a sentence."""
    page = build(tmp_path)
    check(page)

    assert "Nothing has been evaluated yet." in page
    assert "There is no report of a training." in page
    assert "There is no report of a validation." in page


UNEXPECTED = {
    "half": "{",
    "list": "[]",
    "types": '{"rows": 3, "metrics": 4, "verdict": [], "stages": [1], "by_class": 3, "quarantined": "x", "samples_out": "x"}',
    "shapes": '{"metrics": {"accuracy": null}, "verdict": {"allowed": true, "checks": [{}], "reasons": 3}, "details": [], '
    '"figures": [], "comparison": [{}], "classes": {"train": {}}, "decision": "kept", "score": [], '
    '"test_records": "many", "rows": {"train": "x"}}',
}


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["evaluate", "split", "validate", "augment", "train", "collect", "promotion", "timings"])
@pytest.mark.parametrize("content", UNEXPECTED.values(), ids=UNEXPECTED)
def test_no_report_can_break_the_page(project, name, content):
    """It is made after failures, of files written by other versions and other trainers."""
    (project / "reports" / f"{name}.json").write_text(content)
    (project / "dvc.yaml").write_text(f"stages: {{{name}: {{cmd: x}}}}")

    check(build(project))


def test_a_failed_stage_stands_on_top(project):
    """With it a verdict is yesterday's, and the page must say so."""
    (project / "dvc.yaml").write_text("stages:\n  collect: {cmd: x, outs: [a]}\n  train: {cmd: x, deps: [a]}\n")
    timings = {"stages": {"collect": {"state": "ran", "seconds": 1.5}, "train": {"state": "failed", "seconds": 2}}}
    (project / "reports/timings.json").write_text(json.dumps(timings))
    evidence = project / ".headrace/failed/train"
    evidence.mkdir(parents=True)
    (evidence / "error.json").write_text(json.dumps({"kind": "TrainingDiverged", "message": "loss is NaN at step 3"}))

    page = build(project)

    assert page.index("Stage train failed") < page.index("<h1>")
    assert "loss is NaN at step 3" in page
    assert "of the last complete run" in page


def test_a_refused_candidate_is_called_so(project):
    """Status by word and shape, not by colour alone."""
    report = json.loads((project / "reports/evaluate.json").read_text())
    report["verdict"] |= {"allowed": False, "reasons": ["accuracy is 0.5, below min_accuracy 0.9."]}
    (project / "reports/evaluate.json").write_text(json.dumps(report))

    page = build(project)

    assert "The model may not ship:" in page
    assert "✕ Not passed" in page
    assert "below min_accuracy 0.9." in page


def test_what_to_type_stands_as_code_and_cannot_become_markup(project):
    """A name of a baseline may come from a user's module."""
    report = json.loads((project / "reports/evaluate.json").read_text())
    report["verdict"]["reasons"] = ["To make <b> the candidate, set `train.trainer: <b>` in params.yaml."]
    (project / "reports/evaluate.json").write_text(json.dumps(report))

    page = build(project)

    assert "<p>To make &lt;b&gt; the candidate, set <code>train.trainer: &lt;b&gt;</code> in params.yaml.</p>" in page


def test_champion_stands_beside_the_baselines(project):
    """What ships is judged against what runs."""
    numbers = {"difference": 0.02, "low": -0.01, "high": 0.05, "records": 60, "champion_correct": 45}
    promotion = {"decision": "promoted", "challenger_version": 4, "champion_version": 3, "reasons": ["Not worse."], **numbers}
    of = json.loads((project / "reports/evaluate.json").read_text())["fingerprint"]
    (project / "reports/promotion.json").write_text(json.dumps({**promotion, "fingerprint": of}))
    page = build(project)
    (project / "reports/promotion.json").write_text(json.dumps({**promotion, "fingerprint": "of an earlier candidate"}))
    later = build(project)

    assert "Promoted: version 4 is the champion." in page
    assert "champion, version 3" in page
    assert "Promoted" not in later
    assert "champion, version 3" not in later


def test_page_is_written_whole(project):
    """A reader never sees half a page."""
    path = write_report(project, project / "reports/report.html")

    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_data_and_training_are_told_in_sentences(project):
    """A founder reads these, not the tables folded below them."""
    reports = {
        "validate": {
            "rows_in": 1200,
            "quarantined": 12,
            "bad_fraction": 0.01,
            "quarantined_by_reason": {"cannot be decoded": 9, "near empty": 3},
            "warnings": ["mean is low"],
            "expectations": [{"success": True, "reason": "is decodable", "checked": 1200, "failed": 0}, {"success": False}],
        },
        "split": {
            "rows": {"train": 900, "validation": 88, "test": 200},
            "classes": {
                "train": {"ant": 600, "bee": 300},
                "validation": {"ant": 44, "bee": 44},
                "test": {"ant": 100, "bee": 100},
            },
            "dropped": {"repeats a record": {"rows": 7}},
        },
        "augment": {"samples_in": 900, "samples_out": 1800, "policy": {"flip_horizontal": 0.5}},
        "train": {"parameters": 94186, "samples": 2700, "epochs": 2, "steps": 40},
    }
    for name, report in reports.items():
        (project / "reports" / f"{name}.json").write_text(json.dumps(report))
    (project / "reports/plots/train").mkdir()
    history = "epoch,train_loss,validation_loss,validation_accuracy\n1,0.9,0.8,0.75\n2,0.5,0.6,0.875\n"
    (project / "reports/plots/train/history.csv").write_text(history)

    page = build(project).replace("\N{NO-BREAK SPACE}", " ")
    check(page)

    for sentence in (
        "1 of 2 expectations held on 1,200 records; 12 (1.00 %) were quarantined.",
        '<td>cannot be decoded</td><td class="n">9</td>',
        "900 train, 88 validation, 200 test. 7 left out so that nothing leaks.",
        "Classes differ 1.7 times in size: &#39;ant&#39; has 744 records, &#39;bee&#39; 444",
        "1,800 extra samples of 900 originals; transforms: flip horizontal.",
        "94,186 weights, 2,700 training samples, 2 epochs, 40 steps.",
        "Validation accuracy peaks at 87.50 % in epoch 2 of 2",
    ):
        assert sentence in page


def test_what_was_cut_off_is_said_of_texts_only(project):
    """Rows are encoded as well, and nothing of them is cut off."""
    train = project / "reports" / "train.json"
    train.write_text(json.dumps({"epochs": 3, "encoding": {"columns": 8}}))
    of_rows = build(project)
    train.write_text(json.dumps({"epochs": 3, "encoding": {"truncated_tokens": 0.25, "unknown_tokens": 0.0}}))
    of_texts = build(project)

    assert "3 epochs." in of_rows
    assert "25.0\N{NO-BREAK SPACE}% of the training tokens cut off" in of_texts
