"""The workspace of a scheduled run."""

from pathlib import Path

import pytest

from headrace.flow.checkout import is_same_code, keep_reports, keep_state, kept_state
from headrace.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a clone."""
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    return Settings(project=tmp_path / "clone", home=tmp_path / "home")


def test_the_state_of_a_run_outlives_its_clone(settings: Settings, tmp_path: Path) -> None:
    """Evidence of a failed night is looked at in the morning, when the clone is gone."""
    keep_state(settings)
    (settings.local / "failed").mkdir()
    next_one = Settings(project=tmp_path / "next", home=tmp_path / "home")
    (next_one.project / ".git").mkdir(parents=True)

    keep_state(next_one)

    assert (next_one.local / "failed").is_dir()
    assert (settings.project / ".git" / "info" / "exclude").read_text() == "/.headrace\n"


def test_reports_outside_dvc_are_there_again_in_the_next_clone(settings: Settings, tmp_path: Path) -> None:
    """Made anew they would cost a run with nothing to do half of its time."""
    (settings.project / "reports" / "data-docs").mkdir(parents=True)
    (settings.project / "reports" / "report.html").write_text("<p>")
    (settings.project / "reports" / "data-docs" / "index.html").write_text("<p>")
    keep_reports(settings)
    next_one = Settings(project=tmp_path / "next", home=tmp_path / "home")
    (next_one.project / ".git").mkdir(parents=True)

    keep_state(next_one)

    assert (next_one.project / "reports" / "data-docs" / "index.html").read_text() == "<p>"
    assert kept_state(next_one) == kept_state(settings)


def test_cloned_code_counts_as_the_installed_only_when_it_is_equal(tmp_path: Path) -> None:
    """A run of an older commit must run that commit's code."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text("X = 1\n")
    (tmp_path / "one" / "notes.txt").write_text("no module")

    assert is_same_code(tmp_path / "one", tmp_path / "other")

    (tmp_path / "other" / "module.py").write_text("X = 2\n")

    assert not is_same_code(tmp_path / "one", tmp_path / "other")
