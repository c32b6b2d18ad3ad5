from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from headrace.errors import ConfigError
from headrace.flow import ablation
from headrace.settings import Settings

PARAMS = """collect: {task: tabular}
split: {by: time, seed: 17}
train: {seed: 17}
evaluate: {resamples: 200}
"""


@dataclass
class Judged:
    """What is read of an evaluation."""

    scores: np.ndarray
    digest: str
    score_name: str = "accuracy"

    @property
    def records(self) -> int:
        return len(self.scores)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A project whose variants are not run: with 300 test records, without 200 others that are all right."""
    (tmp_path / "params.yaml").write_text(PARAMS)

    @contextmanager
    def variant(_settings, name, _changed):
        yield name

    def judge(name, _params):
        return Judged(np.arange(300) % 2, "a") if "-with-" in name else Judged(np.ones(200), "b")

    monkeypatch.setattr(ablation, "git", lambda *_: "commit")
    monkeypatch.setattr(ablation, "_variant", variant)
    monkeypatch.setattr(ablation, "_judge", judge)
    return Settings(project=tmp_path, home=tmp_path / "home")


def test_another_split_is_compared_as_another_question(settings):
    """On records of its own, with an interval of its own: what a hash split would have promised."""
    found = ablation.ablate(settings, ["split.by=hash"], print)

    assert (found.is_paired, found.records, found.records_without) == (False, 300, 200)
    assert found.difference == -0.5
    assert -0.57 < found.low < -0.5 < found.high < -0.43
    assert "0.5000 with (300 test records), 1.0000 without (200 others)" in ablation.in_words(found)[0]
    assert ablation.in_words(found)[1].endswith("the test split of params.yaml scores lower")


def test_other_records_for_another_reason_are_not_compared(settings):
    """A task that reads other data would be compared with nothing of its own."""
    with pytest.raises(ConfigError, match="changes which records are tested"):
        ablation.ablate(settings, ["collect.task=other"], print)


def test_an_error_is_told_without_its_minus():
    """Less is better there, and said so."""
    found = ablation.Ablation(
        what="calibrate",
        without={},
        score="negative_mae",
        records=112,
        records_without=112,
        scores={17: (-46.0, -48.0)},
        difference=2.0,
        low=1.0,
        high=3.0,
        confidence=0.95,
        is_paired=True,
    )

    assert ablation.in_words(found) == [
        "MAE 46.00 with, 48.00 without; 112 test records",
        "difference -2.000, 95% interval over the records -3.000 to -1.000: calibrate is shown to make it better",
    ]
