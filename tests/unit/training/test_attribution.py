"""Which words of a text a wrong prediction is due to, from the model to the page."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit.texts import CLASSES, write_texts

from headrace.evaluation import classification
from headrace.evaluation.page.evidence import Evidence
from headrace.evaluation.page.outcome import describe_outcome
from headrace.evaluation.predictions import Decisions, write_baselines
from headrace.stages.evaluate import Params, run
from headrace.tasks import image_classification, text_classification
from headrace.training.attribution import MISTAKES, PIECES, explain_mistakes
from headrace.training.predict import predict_folder, predict_splits

MONEY = CLASSES.index("money")


def counts_banks(texts: np.ndarray) -> np.ndarray:
    """.2 for money, .3 more for a bank, .1 less for a goal."""
    money = np.array([0.2 + 0.3 * ("bank" in text) - 0.1 * ("goal" in text) for text in texts])
    return np.stack([1 - money, money], axis=1).astype(np.float32)


def explained(folder: Path, rows: list[tuple[str, str]]) -> list[list[tuple[str, float]]]:
    """Words and weights of each mistake, in the order of the rows."""
    write_texts(folder, rows)
    ids, labels, probabilities = predict_folder(counts_banks, folder, text_classification)
    found = explain_mistakes(counts_banks, text_classification, folder, ids, labels, probabilities, {})
    return [
        [(text[piece["start"] : piece["end"]], pytest.approx(piece["weight"], abs=1e-4)) for piece in found[key]]
        for key, (text, _) in zip(ids, rows, strict=True)
        if key in found
    ]


def test_a_word_weighs_what_goes_when_it_is_left_out(tmp_path):
    """Most first, with a sign: `goal` spoke for sport, `bank` against it. A right prediction needs no explanation."""
    assert explained(tmp_path, [("The bank's goal", "money"), ("a goal", "sport")]) == [
        [("bank's", -0.3), ("goal", 0.1), ("The", 0.0)]
    ]


def test_of_a_long_text_several_words_at_a_time_are_left_out(tmp_path):
    """A review of a thousand words must not cost a thousand predictions."""
    asked = []

    def counted(texts: np.ndarray) -> np.ndarray:
        asked.append(len(texts))
        return counts_banks(texts)

    write_texts(tmp_path, [(f"{'word ' * 900}bank {'word ' * 99}".strip(), "money")])
    ids, labels, probabilities = predict_folder(counts_banks, tmp_path, text_classification)
    (pieces,) = explain_mistakes(counted, text_classification, tmp_path, ids, labels, probabilities, {}).values()

    assert asked == [PIECES]
    assert pieces[0]["weight"] == pytest.approx(-0.3)
    assert pieces[0]["start"] <= 4500 <= pieces[0]["end"]


def test_the_only_word_is_not_left_out(tmp_path):
    """Of nothing a model may say anything."""
    assert explained(tmp_path, [("bank", "money")]) == [[]]


def test_as_many_are_explained_as_are_listed(tmp_path):
    """Those that the report shows, if nobody asks for another number."""
    assert classification.Options().worst_mistakes == MISTAKES
    assert len(explained(tmp_path, [(f"shares up {number}", "money") for number in range(MISTAKES + 5)])) == MISTAKES


def test_a_task_without_pieces_costs_nothing():
    """Pictures: nothing is read, nothing predicted."""
    assert explain_mistakes(None, image_classification, Path("nowhere"), ["a"], np.zeros(1), np.ones((1, 2)), {}) == {}


@pytest.fixture
def evaluated(tmp_path):
    """A project whose only mistakes are two texts, one of them with what a browser would run."""
    test = tmp_path / "data" / "splits" / "test"
    write_texts(test, [("a <i>bank of goals</i> here", "money"), ("a goal again", "sport"), ("bank shares", "sport")])
    predictions = tmp_path / "reports" / "predictions.parquet"
    predict_splits(counts_banks, {"test": test}, predictions, text_classification)
    rows = pq.read_table(predictions).to_pydict()
    labels = np.array(rows["label"])
    write_baselines(tmp_path / "baselines.parquet", {"majority": Decisions(rows["id"], labels, labels)})
    (tmp_path / "model.json").write_text(
        json.dumps({"format": 1, "task": "text_classification", "classes": CLASSES, "fingerprint": "f00d"})
    )
    report = run(
        Params(evaluation="classification", resamples=100),
        model=tmp_path / "model.json",
        predictions=predictions,
        baselines=tmp_path / "baselines.parquet",
        plots=tmp_path / "reports" / "plots" / "evaluate",
    )
    (tmp_path / "reports" / "evaluate.json").write_text(report.to_json())
    return tmp_path


def test_the_report_names_places_not_words(evaluated):
    """evaluate.json is kept in git; texts are not."""
    text = (evaluated / "reports" / "evaluate.json").read_text()

    assert "goal" not in text
    assert json.loads(text)["details"]["worst_mistakes"][0]["attributions"][0].keys() == {"start", "end", "weight"}


def test_the_page_shows_the_words(evaluated):
    """For the class that was predicted, and against it; nothing of a text is markup."""
    shown = [row["due_to"] for row in describe_outcome(Evidence(evaluated))["mistakes"]]

    assert shown == ["For sport: <mark>goals</mark> +10<br>Against it: <mark>bank</mark> \N{MINUS SIGN}30"]
