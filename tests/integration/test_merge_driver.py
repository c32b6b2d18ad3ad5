"""git itself merges dvc.lock and data/sources.lock through the driver that `headrace setup` installs."""

import subprocess
from pathlib import Path

import pytest
from tests.projects import GIT
from tests.remotes import git

from headrace.params import read_yaml
from headrace.project.merge_driver import install

LOCK = """schema: '2.0'
stages:
  collect:
    cmd: collect
    outs:
    - path: data/raw
      md5: {collect}
  train:
    cmd: train
    outs:
    - path: models/candidate
      md5: {train}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository where branch `night` collected anew and main trained anew: text would conflict, being neighbours."""
    git(tmp_path, "init", "-q", "-b", "main")
    for branch, values in (("main", {"collect": "a", "train": "a"}), ("night", {"collect": "b", "train": "a"})):
        if branch != "main":
            git(tmp_path, "checkout", "-q", "-b", branch)
        (tmp_path / "dvc.lock").write_text(LOCK.format(**values))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", branch)
    git(tmp_path, "checkout", "-q", "main")
    (tmp_path / "dvc.lock").write_text(LOCK.format(collect="a", train="c").replace("path: data/raw\n", "path:   data/raw\n"))
    git(tmp_path, "commit", "-q", "-a", "-m", "trained anew")
    return tmp_path


def made(checkout: Path) -> dict[str, str]:
    return {name: entry["outs"][0]["md5"] for name, entry in read_yaml(checkout / "dvc.lock")["stages"].items()}


def test_git_merges_stage_by_stage(checkout: Path) -> None:
    assert install(checkout) == ["git merges dvc.lock and data/sources.lock entry by entry"]
    assert install(checkout) == [], "all was there"

    git(checkout, "merge", "-q", "--no-edit", "night")

    assert made(checkout) == {"collect": "b", "train": "c"}


@pytest.mark.fault
def test_a_conflict_from_before_the_setup_is_resolved_after_it(checkout: Path) -> None:
    """What the message about a conflicted dvc.lock tells to type."""
    merging = subprocess.run([*GIT, "merge", "night"], cwd=checkout, capture_output=True, text=True, check=False)
    assert merging.returncode == 1
    assert "<<<<<<<" in (checkout / "dvc.lock").read_text()

    install(checkout)
    git(checkout, "checkout", "--merge", "dvc.lock")

    assert made(checkout) == {"collect": "b", "train": "c"}


@pytest.mark.fault
def test_a_side_that_cannot_be_read_stays_a_conflict(checkout: Path) -> None:
    """Git must not go on with a merge that nobody has made."""
    git(checkout, "checkout", "-q", "night")
    (checkout / "dvc.lock").write_text("stages: [1, 2\n")
    git(checkout, "commit", "-q", "-a", "-m", "cut short")
    git(checkout, "checkout", "-q", "main")
    install(checkout)

    merging = subprocess.run([*GIT, "merge", "night"], cwd=checkout, capture_output=True, text=True, check=False)

    assert merging.returncode == 1
    assert "dvc.lock: the file of 'theirs' cannot be read" in merging.stderr
    assert "Traceback" not in merging.stderr
    assert made(checkout) == {"collect": "a", "train": "c"}, "ours"


def test_a_folder_without_git_needs_no_driver(tmp_path: Path) -> None:
    assert install(tmp_path) == []
