"""The checkouts of a state folder, and what git names in each."""

import subprocess
from pathlib import Path

import pytest
from tests.projects import GIT

from headrace.errors import EngineError
from headrace.project.checkouts import checkouts, forget, register_checkout, revision_texts, revisions, workspace_texts
from headrace.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(project=make(tmp_path / "one"), home=tmp_path / "home")


def make(folder: Path) -> Path:
    (folder / ".dvc").mkdir(parents=True)
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


def test_each_checkout_is_remembered_once(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"project": make(tmp_path / "two words")})
    for each in (settings, other, settings):
        register_checkout(each)

    assert checkouts(settings) == ([tmp_path / "one", tmp_path / "two words"], [])
    assert len(list((settings.state_home / "checkouts").iterdir())) == 2


def test_what_is_gone_is_told_and_forgotten(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"project": tmp_path / "gone"})
    register_checkout(other)

    assert checkouts(settings) == ([tmp_path / "one"], [tmp_path / "gone"])
    forget(settings, [tmp_path / "gone"])
    assert checkouts(settings) == ([tmp_path / "one"], [])


def test_a_project_outside_git_has_its_workspace_only(settings: Settings) -> None:
    (settings.project / "dvc.lock").write_text("now\n")

    assert list(workspace_texts(settings.project)) == ["now\n"]
    assert revisions(settings.project) == {}


def test_files_in_subfolders_and_dvc_files_count(settings: Settings) -> None:
    (settings.project / "sub").mkdir()
    for name in ("dvc.lock", "sub/dvc.lock", "sub/data.csv.dvc", "sub/other.yaml"):
        (settings.project / name).write_text(f"{name}\n")
    git(settings.project, "init", "-q")
    git(settings.project, "add", "-A")
    git(settings.project, "commit", "-q", "-m", "x")
    (settings.project / "new.dvc").write_text("new\n")
    commit = next(iter(revisions(settings.project)))

    assert sorted(workspace_texts(settings.project)) == ["dvc.lock\n", "new\n", "sub/data.csv.dvc\n", "sub/dvc.lock\n"]
    assert sorted(revision_texts(settings.project, commit).values()) == ["dvc.lock\n", "sub/data.csv.dvc\n", "sub/dvc.lock\n"]


def test_a_commit_with_many_names_is_read_once(settings: Settings) -> None:
    git(settings.project, "init", "-q", "-b", "main")
    git(settings.project, "commit", "-q", "--allow-empty", "-m", "x")
    git(settings.project, "branch", "other")
    git(settings.project, "tag", "-a", "-m", "note", "v1")
    git(settings.project, "checkout", "-q", "--detach")

    assert len(revisions(settings.project)) == 1


def test_a_repository_that_git_refuses_is_not_taken_for_empty(settings: Settings) -> None:
    (settings.project / ".git").write_text("gitdir: nowhere\n")

    with pytest.raises(EngineError, match="Nothing is deleted"):
        revisions(settings.project)
