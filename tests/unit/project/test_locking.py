"""requirements.lock of a user's project."""

import pytest

from headrace.errors import ConfigError, EnvironmentMismatch
from headrace.project.environment import RESULT_REVISIONS, check_revisions, generate, read, revisions
from headrace.project.locking import installed, lock, lock_text


def test_the_lock_holds_headrace_and_what_it_needs_with_extras_followed():
    """dvc[s3] brings s3fs; what only the tests import is left out."""
    pins = installed()

    assert {"headrace", "torch", "dvc", "dvc-s3", "pandas"} <= pins.keys()
    assert not {"pytest", "ruff"} & pins.keys()
    assert all("+" not in pin.partition("==")[2] for pin in pins.values())


def test_environment_json_comes_of_it_with_result_revisions(tmp_path):
    path = tmp_path / "requirements.lock"
    path.write_text(lock_text())

    assert generate(path)["headrace"] == revisions()


def test_packages_of_the_project_stay_in_the_lock(tmp_path):
    """What a project's own code imports is no requirement of ours."""
    (tmp_path / "requirements.lock").write_text("ruff==0.0.1\nnowhere==3.2.1\n")
    changed = lock(tmp_path)
    text = (tmp_path / "requirements.lock").read_text()

    assert "nowhere==3.2.1\n" in text
    assert "ruff==0.0.1" not in text
    assert any(line.startswith("ruff==") for line in changed)
    assert "torch" in read(tmp_path)
    assert lock(tmp_path) == []


def test_a_raised_revision_is_refused_until_the_lock_takes_it_over(tmp_path, monkeypatch):
    """DVC sees environment.json only, and would call the old results up to date."""
    (tmp_path / "requirements.lock").write_text("headrace==0.1.0\n")
    check_revisions(tmp_path)  # nothing to hold anything against
    lock(tmp_path)
    check_revisions(tmp_path)
    monkeypatch.setitem(RESULT_REVISIONS, "evaluate", 99)
    with pytest.raises(EnvironmentMismatch, match="other result revisions for evaluate: run `headrace lock`"):
        check_revisions(tmp_path)
    lock(tmp_path)

    check_revisions(tmp_path)


def test_the_lock_of_headrace_itself_is_made_otherwise(tmp_path):
    (tmp_path / "src" / "headrace").mkdir(parents=True)

    with pytest.raises(ConfigError, match="make lock"):
        lock(tmp_path)
