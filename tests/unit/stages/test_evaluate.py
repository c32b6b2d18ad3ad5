import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import DataError, ParamsError
from headrace.evaluation.predictions import Decisions, write_baselines
from headrace.evaluation.scores import Scores, write_baseline_scores
from headrace.stages.evaluate import EvaluateReport, Params, run
from headrace.training.scores import write_scores


@pytest.fixture
def candidate(tmp_path: Path) -> dict[str, Path]:
    """40 test records, 36 of them right; the baseline is right on 30 of these."""
    labels = np.arange(40) % 2
    wrong = np.arange(40) < 4
    p = np.where(wrong, 0.3, 0.9).astype(np.float32)
    probabilities = np.where(labels[:, None] == np.arange(2), p[:, None], 1 - p[:, None]).astype(np.float32)
    ids = [f"r{n:02d}" for n in range(40)]
    rows = {
        "id": ids,
        "split": ["test"] * 40,
        "label": labels,
        "probabilities": pa.FixedSizeListArray.from_arrays(probabilities.ravel(), 2),
    }
    pq.write_table(pa.table(rows), tmp_path / "predictions.parquet", write_page_checksum=True)
    guess = np.where(np.arange(40) < 10, 1 - labels, labels)
    write_baselines(
        tmp_path / "baselines.parquet", {"svm": Decisions(ids, labels, guess), "majority": Decisions(ids, labels, 0 * labels)}
    )
    card = {"format": 1, "task": "image_classification", "classes": ["no", "yes"], "fingerprint": "f" * 64}
    (tmp_path / "model.json").write_text(json.dumps(card))
    return {"model": tmp_path / "model.json", "predictions": tmp_path / "predictions.parquet",
            "baselines": tmp_path / "baselines.parquet", "plots": tmp_path / "plots"}  # fmt: skip


def judge(paths: dict[str, Path], **params: object) -> EvaluateReport:
    return run(Params.model_validate({"evaluation": "classification", "resamples": 2000, **params}), **paths)


def test_report_holds_metrics_verdict_and_comparison(candidate):
    """The shape that the gate, the registry and the page read."""
    report = json.loads(judge(candidate, thresholds={"min_accuracy": 0.85}).to_json())

    assert report["metrics"]["accuracy"] == 0.9
    assert report["score_low"] < 0.9 < report["score_high"]
    assert [row["model"] for row in report["comparison"]] == ["svm", "majority"]
    assert report["comparison"][0]["difference"] == pytest.approx(0.15)
    assert set(report["verdict"]) == {"allowed", "better", "reasons", "checks"}
    assert report["verdict"]["allowed"]
    assert report["verdict"]["better"]
    assert len(report["details"]["worst_mistakes"]) == 4


def test_a_failing_gate_is_a_verdict_and_no_crash(candidate):
    """The model is worse than asked for; nothing is broken."""
    report = judge(candidate, thresholds={"min_accuracy": 0.99})

    assert not report.verdict.allowed
    assert "below min_accuracy 0.99" in report.verdict.reasons[0]


def test_the_same_inputs_give_the_same_report_and_plots(candidate, tmp_path):
    """Both are hashed by DVC."""
    first = judge(candidate), {p.name: p.read_bytes() for p in candidate["plots"].iterdir()}
    again = {**candidate, "plots": tmp_path / "again"}
    second = judge(again), {p.name: p.read_bytes() for p in again["plots"].iterdir()}

    assert first == second
    assert {"roc.csv", "roc.png", "confusion.csv", "calibration.csv", "pr.csv"} <= set(first[1])


def make_the_baseline_win(paths: dict[str, Path], name: str) -> None:
    ids, labels = [f"r{n:02d}" for n in range(40)], np.arange(40) % 2
    write_baselines(paths["baselines"], {name: Decisions(ids, labels, labels)})


def test_a_candidate_that_a_trainable_baseline_beats_is_refused_unless_that_is_allowed(candidate):
    """Four records in forty, all one way: the whole interval lies below zero, and max_regression would have let it pass."""
    make_the_baseline_win(candidate, "tfidf_linear_svm")
    refused = judge(candidate, max_regression=1.0)
    allowed = judge(candidate, max_regression=1.0, allow_beaten=True)

    assert refused.headline.endswith("not allowed; tfidf_linear_svm wins")
    assert (
        "To make tfidf_linear_svm the candidate, set `train.trainer: tfidf_linear_svm` in params.yaml." in refused.verdict.reasons
    )
    assert allowed.headline.endswith(", allowed; tfidf_linear_svm wins")
    assert (
        "To make tfidf_linear_svm the candidate, set `train.trainer: tfidf_linear_svm` in params.yaml." in allowed.verdict.reasons
    )


def test_a_number_to_predict_has_a_winner_that_can_be_trained_too(candidate):
    """Boosted trees predict numbers as they tell classes apart."""
    ids, values = [f"r{n:02d}" for n in range(40)], -np.arange(1.0, 41.0)
    measured = {"target": np.arange(40.0), "predicted": np.arange(40.0) - values}
    write_scores(candidate["predictions"], ids=ids, splits=["test"] * 40, scores=values, measured=measured)
    write_baseline_scores(candidate["baselines"], {"boosted_trees": Scores(ids, values / 2)})
    candidate["model"].write_text(
        json.dumps(
            {"format": 1, "task": "tabular_regression", "classes": [], "fingerprint": "f" * 64, "network": {"name": "mlp"}}
        )
    )

    report = judge(candidate, evaluation="regression", max_regression=100)

    assert not report.verdict.allowed
    assert report.headline.endswith("not allowed; boosted_trees wins")
    assert (
        "To make boosted_trees the candidate, set `train.trainer: gradient_boosted_trees` in params.yaml."
        in report.verdict.reasons
    )


def test_a_baseline_without_a_trainer_is_named_and_does_not_refuse(candidate):
    """There is nothing to type instead."""
    make_the_baseline_win(candidate, "rbf_svm")
    report = judge(candidate, max_regression=1.0)

    assert report.verdict.allowed
    assert report.verdict.reasons[-1].startswith("rbf_svm, a baseline, wins: the candidate is worse")


def test_only_the_model_folder_and_saved_predictions_are_read(candidate):
    """A trainer is anything that writes these: no data set is needed."""
    assert set(candidate) == {"model", "predictions", "baselines", "plots"}
    assert judge(candidate).test_records == 40


@pytest.mark.badinput
@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2, "task": "image_classification"}', '{"format": 1}'])
def test_a_card_of_another_kind_is_refused(candidate, content):
    """A model.json of a future format may mean something else by its words."""
    candidate["model"].write_text(content)

    with pytest.raises(DataError, match=r"model\.json"):
        judge(candidate)


@pytest.mark.badinput
def test_a_missing_candidate_says_what_to_run(candidate):
    """The next step stands in the message."""
    candidate["model"].unlink()

    with pytest.raises(DataError, match="Run `train`"):
        judge(candidate)


@pytest.mark.badinput
def test_an_unknown_option_is_refused_with_a_hint(candidate):
    """Options of an evaluation are typed like every section."""
    with pytest.raises(ParamsError, match=r"calibration_bin'.*Did you mean 'calibration_bins'"):
        judge(candidate, options={"calibration_bin": 3})


@pytest.mark.badinput
def test_a_threshold_without_a_side_is_refused():
    """`accuracy: 0.9` does not say which way."""
    with pytest.raises(ValueError, match="must start with min_ or max_"):
        Params.model_validate({"thresholds": {"accuracy": 0.9}})
