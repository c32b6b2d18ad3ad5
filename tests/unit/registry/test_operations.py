"""What a person reads of the year's error budget, and of a candidate that is no challenger."""

import json
from datetime import UTC, datetime

import pytest

from headrace.registry.ledger import append
from headrace.registry.operations import budget_in_words, past, promote_challenger
from headrace.settings import load_settings


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Settings of a project with a ledger of its own; call it with the promote section."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))

    def make(promote):
        (tmp_path / "params.yaml").write_text(f"register: {{model: digits}}\n{promote}\n")
        return load_settings(tmp_path)

    return make


def look(settings, allowed):
    append(
        settings.ledger,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        action="look",
        model="digits",
        version=2,
        previous_version=1,
        package="a" * 64,
        actor="ada",
        evidence={"allowed": allowed},
    )


def test_looks_and_what_is_left_are_told(project):
    """With the level of the next look."""
    settings = project("promote: {}")
    look(settings, 0.05 / 365)

    expected = "digits: 1 look in the last 365 days; 0.0499 of the error budget of 0.05 is left, the next may spend 1.4e-4"
    assert budget_in_words(settings) == expected
    assert [entry["action"] for entry in past(settings)] == ["look"]


def test_a_spent_budget_says_until_when(project):
    """So that nobody waits in vain for a better model to be promoted."""
    settings = project("promote: {looks_per_year: 1}")
    look(settings, 0.05)

    assert "1 look in the last 365 days; 0 of the error budget of 0.05 is left, the next look is possible on" in budget_in_words(
        settings
    )


@pytest.mark.parametrize(("section", "words"), [("promote: {require: not_worse}", "spends no error budget"), ("", "")])
def test_without_a_budget_none_is_told(project, section, words):
    """Not worse makes no claim that could be false by chance; a project may promote nothing at all."""
    told = budget_in_words(project(section))

    assert words in told if words else told == ""


def test_a_refused_candidate_leaves_no_decision_about_an_earlier_one(project):
    """The page would call it the champion, and a message would give the reasons of another refusal."""
    settings = project("promote: {}")
    reports = settings.project / "reports"
    reports.mkdir()
    (reports / "evaluate.json").write_text(json.dumps({"verdict": {"allowed": False}}))
    (reports / "promotion.json").write_text(json.dumps({"decision": "promoted"}))

    told = promote_challenger(settings)

    assert told.headline == "digits: nothing to promote"
    assert not (reports / "promotion.json").exists()
