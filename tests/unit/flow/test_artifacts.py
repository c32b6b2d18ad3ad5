"""What the Prefect UI shows of a stage."""

import pytest

from headrace.flow.artifacts import StageFacts, key_of


def test_a_stage_shows_state_cause_digest_duration_and_links() -> None:
    """Who looks at a night's run sees why a stage ran, and what came of it."""
    facts = StageFacts(
        name="train", state="ran", cause="params.yaml:train.seed: 1 -> 2", seconds=3.21, digests={"models/candidate": "ab12.dir"},
        headline="accuracy 0.98", run_url="http://m/#/experiments/1/runs/2", report_url="http://m/report",
    )  # fmt: skip

    text = facts.markdown

    for part in (
        "**ran**",
        "train.seed: 1 -> 2",
        "3.2 s",
        "ab12.dir",
        "[run](http://m/#/experiments/1/runs/2)",
        "(http://m/report)",
    ):
        assert part in text


def test_a_failed_stage_shows_its_error() -> None:
    """The reason is one click away, not in a log of thousands of lines."""
    facts = StageFacts(name="validate", state="failed", cause="data | raw changed", seconds=1, digests={}, error="30 % are bad")

    assert "```\n30 % are bad\n```" in facts.markdown
    assert "data \\| raw changed" in facts.markdown


@pytest.mark.parametrize(("stage", "key"), [("train", "stage-train"), ("Fit@a_b", "stage-fit-a-b")])
def test_every_stage_has_a_key_that_prefect_takes(stage: str, key: str) -> None:
    """A foreach stage has signs in its name that Prefect refuses."""
    assert key_of(stage) == key
