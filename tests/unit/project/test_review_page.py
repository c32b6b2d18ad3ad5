"""The page of a review: what it says first, and that nothing of the project becomes markup."""

from pathlib import Path

import pytest

from headrace.project import review_page
from headrace.project.review_page import MARK, Review, render
from headrace.project.version import Contents, Version
from headrace.settings import Settings

GOOD = Review(
    stale={}, missing=[], remote="s3://b/team has all 3 objects", against="main", verdict={"allowed": True, "reasons": []}
)


@pytest.fixture
def here(tmp_path: Path) -> Version:
    (tmp_path / ".dvc").mkdir()
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        (tmp_path / name).write_text("{}\n")
    return Version(tmp_path, None, Contents(Settings(project=tmp_path), lambda _: None))


def test_the_verdict_stands_first(here: Version) -> None:
    """Who opens the page of a pull request wants one word."""
    bad = Review(stale={"train": ["code modified"]}, missing=["models/candidate (train): missing"], remote="s3://b/team")

    assert render(GOOD, here, None).splitlines()[:2] == [MARK, "## Headrace: fit to merge against `main`"]
    lines = render(bad, here, None).splitlines()
    assert lines[1] == "## Headrace: not fit to merge"
    assert lines[3] == "- **dvc.lock is stale (train): headrace run; git add dvc.lock; git commit**"
    assert lines[4] == "- **s3://b/team lacks 1 objects (models/candidate (train): missing): headrace push**"


@pytest.mark.badinput
def test_text_of_the_project_is_no_markup(here: Version) -> None:
    """A reason or a file may be named as somebody likes; a comment is read by everybody who is told of it."""
    bad = Review(
        stale={}, missing=[], remote="https://ada:CANARY@host/x", verdict={"allowed": False, "reasons": ["<script>|@everyone"]}
    )

    page = render(bad, here, None)

    assert "  - &lt;script>\\|&#64;everyone" in page
    assert "CANARY" not in page


def test_a_page_beyond_what_a_comment_takes_is_cut_between_lines(here: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open code block or fold would swallow what follows it on the platform's page."""
    page = "\n".join(["a", "<details><summary>x</summary>", "```mermaid", *("line" for _ in range(100))])
    monkeypatch.setattr(review_page, "MAX_CHARS", 200)

    cut = review_page._cut(page)

    assert cut.count("```") == 2
    assert cut.count("<details>") == cut.count("</details>")
    assert cut.endswith("... cut here: a comment may have no more.\n")
