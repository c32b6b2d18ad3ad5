"""What a scheduled run tells: a failure with its stage, a refusal once."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import StageFailed
from headrace.flow.run import EndState, Outcome
from headrace.flow.scheduled import failure, refusal
from headrace.settings import Settings


def run_of(project: Path, **outcomes: EndState) -> Any:
    """A run as far as messages look at it."""
    found = {name: Outcome(state, 1.0, f"digits: {name}") for name, state in outcomes.items()}
    return SimpleNamespace(settings=Settings(project=project), outcomes=found)


def report(project: Path, name: str, **values: Any) -> None:
    """A report that a step or stage has written."""
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports" / name).write_text(json.dumps(values))


def test_a_refused_challenger_is_told_with_the_reasons(tmp_path: Path) -> None:
    """Someone waits for the new model."""
    report(tmp_path, "promotion.json", decision="refused", reasons=["not shown to be better: p 0.3"])

    notice = refusal(Settings(project=tmp_path), run_of(tmp_path, promote=EndState.RAN))

    assert notice is not None
    assert notice.title == "promotion: digits refused"
    assert "p 0.3" in notice.body


def test_a_candidate_that_the_gate_refused_is_told_too(tmp_path: Path) -> None:
    """It never becomes a challenger: no promotion would say so."""
    report(tmp_path, "evaluate.json", verdict={"allowed": False, "reasons": ["accuracy 0.61 is below 0.9"]})

    notice = refusal(Settings(project=tmp_path), run_of(tmp_path, register=EndState.RAN, promote=EndState.RAN))

    assert notice is not None
    assert "below 0.9" in notice.body


@pytest.mark.parametrize(("decision", "state"), [("promoted", EndState.RAN), ("refused", EndState.UNCHANGED)])
def test_nothing_is_told_of_a_promotion_or_of_last_nights_refusal(tmp_path: Path, decision: str, state: EndState) -> None:
    """The same message every night is one that nobody reads."""
    report(tmp_path, "promotion.json", decision=decision, reasons=["r"])

    assert refusal(Settings(project=tmp_path), run_of(tmp_path, promote=state)) is None


def test_a_failure_names_its_stage_and_ends_its_log(tmp_path: Path) -> None:
    """The stage that failed is in the message of the error; its log is beside it."""
    (tmp_path / ".headrace" / "logs").mkdir(parents=True)
    (tmp_path / ".headrace" / "logs" / "validate.log").write_text("reading\n300 bad rows\n")

    notice = failure(run_of(tmp_path), "train", StageFailed("stage validate failed (DataError): 300 of 1,000"))

    assert notice.title == "train: stage validate failed"
    assert notice.tail == ("reading", "300 bad rows")
