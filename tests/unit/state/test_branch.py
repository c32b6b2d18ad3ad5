"""Commits on the state branch of a real remote, made without touching a checkout."""

from pathlib import Path

import pytest
from tests.remotes import Remote, git, make_remote

from headrace.errors import ConfigError, EngineError, StateRefused
from headrace.settings import Settings
from headrace.state.branch import StateBranch, state_branch
from headrace.state.git import Repository

NAME = "headrace/state"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return make_remote(tmp_path / "remote.git", {"code.py": "1\n"})


@pytest.fixture
def here(remote: Remote, tmp_path: Path) -> StateBranch:
    return StateBranch(Repository(remote.clone(tmp_path / "here")), "origin", NAME)


def test_the_branch_begins_where_main_is(here: StateBranch, remote: Remote) -> None:
    """A branch without main's history could never be merged with it."""
    assert here.tip() is None

    made = here.add(lambda tip: {"a.txt": b"one\n"}, "First entry")

    assert remote.tip(NAME) == made
    assert remote.read(NAME, "a.txt") == "one"
    assert remote.read(NAME, "code.py") == "1"
    assert git(remote.folder, "rev-parse", f"{NAME}^") == remote.tip("main")


def test_the_checkout_is_left_alone(here: StateBranch) -> None:
    """Somebody works in it."""
    folder = here.repository.folder
    (folder / "code.py").write_text("edited\n")
    (folder / "staged.py").write_text("new\n")
    git(folder, "add", "staged.py")
    before = (git(folder, "status", "--porcelain"), git(folder, "rev-parse", "HEAD"))

    here.add(lambda tip: {"a.txt": b"one\n", "code.py": b"2\n"}, "Both")

    assert (git(folder, "status", "--porcelain"), git(folder, "rev-parse", "HEAD")) == before
    assert not (folder / "a.txt").exists()


def test_a_push_in_between_asks_for_the_change_anew(here: StateBranch, remote: Remote, tmp_path: Path) -> None:
    """What was written after the old tip may be wrong after the new one: who wrote it says."""
    there = StateBranch(Repository(remote.clone(tmp_path / "there")), "origin", NAME)
    asked: list[str | None] = []

    def change(tip: str | None) -> dict[str, bytes]:
        asked.append(tip)
        if len(asked) == 1:
            there.add(lambda _: {"b.txt": b"theirs\n"}, "In between")
        return {"a.txt": b"ours\n"}

    here.add(change, "Ours")

    assert asked == [None, git(remote.folder, "rev-parse", f"{NAME}^")]
    assert [remote.read(NAME, name) for name in ("a.txt", "b.txt")] == ["ours", "theirs"]


@pytest.mark.fault
def test_a_protected_branch_says_that_the_approval_is_missing(here: StateBranch, remote: Remote) -> None:
    here.add(lambda _: {"a.txt": b"one\n"}, "Allowed")
    before = remote.tip(NAME)
    remote.protect(NAME)

    with pytest.raises(StateRefused, match=r"Protected branch update failed.*that push is the approval"):
        here.add(lambda _: {"a.txt": b"two\n"}, "Not allowed")

    assert remote.tip(NAME) == before


@pytest.mark.fault
def test_a_remote_that_is_gone_is_named_without_its_password(here: StateBranch, tmp_path: Path) -> None:
    git(here.repository.folder, "remote", "set-url", "origin", "http://ada:CANARY@127.0.0.1:9/x.git")

    with pytest.raises(EngineError, match="'origin' does not answer") as caught:
        here.tip()

    assert "CANARY" not in str(caught.value)


def test_an_empty_remote_says_what_to_push_first(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    git(tmp_path, "clone", "-q", str(tmp_path / "empty.git"), "clone")

    with pytest.raises(ConfigError, match="origin is empty"):
        StateBranch(Repository(tmp_path / "clone"), "origin", NAME).add(lambda _: {"a": b""}, "x")


def test_nobody_is_named_where_git_knows_no_name(here: StateBranch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a pod there is no ~/.gitconfig; a night must not fail for that."""
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)

    made = here.add(lambda _: {"a.txt": b"one\n"}, "x")

    assert made is not None
    assert here.repository.get("log", "-1", "--format=%an <%ae>", made) == "Headrace <headrace@localhost>"


def test_without_a_remote_there_is_no_state_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")

    assert state_branch(Settings(project=tmp_path)) is None


def test_an_empty_name_switches_it_off(here: StateBranch) -> None:
    folder = here.repository.folder

    assert state_branch(Settings(project=folder)) == here
    assert state_branch(Settings(project=folder, state_branch="")) is None
