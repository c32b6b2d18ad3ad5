"""Scheduled runs that build on each other: clones of a real remote, one for each night."""

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.remotes import Remote, git, make_remote

from headrace.errors import ConfigError, StateRefused
from headrace.flow.state_branch import begin, carry, describe, has_begun
from headrace.params import read_yaml
from headrace.settings import Settings
from headrace.sources.snapshot import Lock, LockedFile, LockedSource, read_lock, write_lock

STATE = "headrace/state"
SOURCE = {"kind": "s3", "name": "objects"}


def silent(_line: str) -> None:
    """Nobody listens."""


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return make_remote(tmp_path / "remote.git", {"code.py": "1\n", "params.yaml": "{}\n", ".gitignore": "/.headrace/\n"})


@pytest.fixture
def night(remote: Remote, tmp_path: Path) -> Callable[..., Settings]:
    """The clone of a night, as Prefect's pull step makes it: shallow, main only."""

    def make(name: str, **settings: Any) -> Settings:
        return Settings(project=remote.clone(tmp_path / name, "--depth", "1"), home=tmp_path / "home", **settings)

    return make


def add_object(settings: Settings, name: str) -> int:
    """What `sources refresh` does with a bucket that has one more object; returns how many it had to fetch."""
    path = settings.project / "data" / "sources.lock"
    known = [] if not path.exists() else read_lock(path).sources[0].files
    new = LockedFile(name=name, url=f"s3://bucket/{name}", size=1, sha256="0" * 64)
    files = sorted([*(file for file in known if file.name != name), new], key=lambda file: file.name)
    write_lock(path, Lock(sources=[LockedSource(source=SOURCE, files=files)]))
    return len(files) - len(known)


def set_stage(settings: Settings, **digests: str) -> None:
    """What DVC does at the end of a stage."""
    from dvc.utils.serialize import dumps_yaml

    path = settings.project / "dvc.lock"
    stages = read_yaml(path)["stages"] if path.exists() else {}
    stages |= {name: {"cmd": name, "outs": [{"path": name, "md5": md5}]} for name, md5 in digests.items()}
    path.write_text(dumps_yaml({"schema": "2.0", "stages": stages}))


def commit_to_main(remote: Remote, folder: Path, name: str, text: str) -> None:
    """What a person merges during the day."""
    if not folder.exists():
        remote.clone(folder)
    git(folder, "pull", "-q", "--rebase", "origin", "main")
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"Edit {name}")
    git(folder, "push", "-q", "origin", "HEAD:main")


def stages(remote: Remote) -> dict[str, str]:
    return {name: entry["outs"][0]["md5"] for name, entry in _yaml(remote.read(STATE, "dvc.lock"))["stages"].items()}


def _yaml(text: str) -> Any:
    from dvc.utils.serialize import loads_yaml

    return loads_yaml(text)


def test_every_night_builds_on_the_last_one(remote: Remote, night: Callable[..., Settings], tmp_path: Path) -> None:
    """One new object each night, edits on main in between, a fresh shallow clone each time: nobody ever merges by hand."""
    nights = 7  # benchmarks/nights.py has thirty
    fetched = 0
    for number in range(nights):
        settings = night(f"night-{number}")
        begin(settings, silent)
        fetched += add_object(settings, f"object-{number}")
        set_stage(settings, collect=f"{number:032}")
        carry(settings, silent)
        if number % 3 == 0:
            commit_to_main(remote, tmp_path / "person", "code.py", f"{number}\n")

    assert fetched == nights
    lock = json.loads(remote.read(STATE, "data/sources.lock"))
    assert [file["name"] for file in lock["sources"][0]["files"]] == [f"object-{number}" for number in range(nights)]
    assert stages(remote) == {"collect": f"{nights - 1:032}"}
    assert remote.read(STATE, "code.py") == "3"
    merges = git(remote.folder, "log", "--first-parent", "--format=%s", STATE).splitlines().count(f"Merge main into {STATE}")
    assert merges == 2
    log = git(remote.folder, "log", "--format=%s", "main").splitlines()
    assert {line.split()[0] for line in log} == {"First", "Edit"}, "main gets nothing of it"


def test_the_code_that_runs_is_main_s(remote: Remote, night: Callable[..., Settings], tmp_path: Path) -> None:
    """Whoever merges a change on main finds it in the night's run, with the state of the night before."""
    first = night("first")
    begin(first, silent)
    set_stage(first, train="a" * 32)
    carry(first, silent)
    commit_to_main(remote, tmp_path / "person", "code.py", "new\n")

    second = night("second")
    begun = begin(second, silent)

    assert (second.project / "code.py").read_text() == "new\n"
    assert read_yaml(second.project / "dvc.lock")["stages"]["train"]["outs"][0]["md5"] == "a" * 32
    assert remote.tip(STATE) == begun.commit, "the commit that the run's model will name is one that others can fetch"
    assert git(second.project, "status", "--porcelain") == ""
    assert has_begun(second)


def test_main_and_the_night_may_both_change_the_locks(remote: Remote, night: Callable[..., Settings], tmp_path: Path) -> None:
    """A person trained on main with other params while the night collected: neither loses an entry."""
    first = night("first")
    begin(first, silent)
    set_stage(first, collect="a" * 32, train="a" * 32)
    carry(first, silent)
    from dvc.utils.serialize import dumps_yaml

    mine = {name: {"cmd": name, "outs": [{"path": name, "md5": md5 * 32}]} for name, md5 in (("collect", "b"), ("report", "b"))}
    commit_to_main(remote, tmp_path / "person", "dvc.lock", dumps_yaml({"schema": "2.0", "stages": mine}))

    told: list[str] = []
    begin(night("second"), told.append)

    assert stages(remote) == {"collect": "a" * 32, "train": "a" * 32, "report": "b" * 32}


def test_a_pull_request_that_brought_the_state_to_main_disturbs_nothing(
    remote: Remote, night: Callable[..., Settings], tmp_path: Path
) -> None:
    """Squashed, so that git knows nothing of what it came from; meanwhile another night has passed."""
    first = night("first")
    begin(first, silent)
    add_object(first, "1")
    set_stage(first, collect="1" * 32)
    carry(first, silent)
    locks = {name: remote.read(STATE, name) + "\n" for name in ("dvc.lock", "data/sources.lock")}
    second = night("second")
    begin(second, silent)
    add_object(second, "2")
    set_stage(second, collect="2" * 32)
    carry(second, silent)
    (remote.clone(tmp_path / "person") / "data").mkdir()
    for name, text in locks.items():
        commit_to_main(remote, tmp_path / "person", name, text)

    third = night("third")
    begin(third, silent)

    assert stages(remote) == {"collect": "2" * 32}
    assert [file.name for file in read_lock(third.project / "data" / "sources.lock").sources[0].files] == ["1", "2"]


@pytest.mark.fault
def test_runs_of_two_machines_lose_nothing(remote: Remote, night: Callable[..., Settings]) -> None:
    """Both began on the same commit; whoever pushes second merges what the first one recorded."""
    machines = [night(f"machine-{number}") for number in range(4)]
    for settings in machines:
        begin(settings, silent)

    def work(number: int) -> None:
        add_object(machines[number], f"object-{number}")
        set_stage(machines[number], **{f"stage-{number}": f"{number}" * 32})
        carry(machines[number], silent)

    with ThreadPoolExecutor(4) as at_once:
        list(at_once.map(work, range(4)))

    assert stages(remote) == {f"stage-{number}": f"{number}" * 32 for number in range(4)}
    lock = json.loads(remote.read(STATE, "data/sources.lock"))
    assert [file["name"] for file in lock["sources"][0]["files"]] == [f"object-{number}" for number in range(4)]


def test_a_run_that_recorded_nothing_pushes_nothing(remote: Remote, night: Callable[..., Settings]) -> None:
    settings = night("first")
    begin(settings, silent)
    before = remote.tip(STATE)

    assert carry(settings, silent) is None
    assert remote.tip(STATE) == before


@pytest.mark.fault
def test_a_run_that_may_not_push_fails_before_it_works(remote: Remote, night: Callable[..., Settings]) -> None:
    """And not after hours of training."""
    remote.protect(STATE)

    with pytest.raises(StateRefused, match="takes no push from here"):
        begin(night("first"), silent)


@pytest.mark.fault
def test_a_merge_that_a_person_has_to_make_is_named(remote: Remote, night: Callable[..., Settings], tmp_path: Path) -> None:
    """Somebody has edited code on the state branch."""
    begin(night("first"), silent)
    person = remote.clone(tmp_path / "person")
    git(person, "checkout", "-q", "-b", "edit", f"origin/{STATE}")
    (person / "code.py").write_text("state\n")
    git(person, "commit", "-q", "-a", "-m", "Code on the state branch")
    git(person, "push", "-q", "origin", f"HEAD:{STATE}")
    git(person, "checkout", "-q", "main")
    commit_to_main(remote, person, "code.py", "main\n")
    settings = night("second")

    with pytest.raises(ConfigError, match=r"both changed code\.py\. Once, by hand"):
        begin(settings, silent)

    assert git(settings.project, "worktree", "list").count("\n") == 0
    assert git(settings.project, "symbolic-ref", "--short", "HEAD") == "main"


@pytest.mark.fault
def test_a_checkout_somebody_works_in_is_left_alone(night: Callable[..., Settings]) -> None:
    settings = night("first")
    (settings.project / "code.py").write_text("edited\n")

    with pytest.raises(ConfigError, match=r"changes that are in no commit: code\.py"):
        begin(settings, silent)


def test_carry_without_begin_says_so(night: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match="headrace state begin comes first"):
        carry(night("first"), silent)


def test_the_hook_is_called_with_the_branches_and_may_fail(
    remote: Remote, night: Callable[..., Settings], tmp_path: Path
) -> None:
    """A pull request that is open already is no reason to call the night failed."""
    note = tmp_path / "note"
    told: list[str] = []
    for name, hook in (
        ("good", f"sh -c 'echo $HEADRACE_STATE_BRANCH to $HEADRACE_MAIN_BRANCH > {note}; echo done'"),
        ("bad", "false"),
    ):
        settings = night(name, state_hook=hook)
        begin(settings, silent)
        set_stage(settings, train=name)
        carry(settings, told.append)

    assert note.read_text() == f"{STATE} to main\n"
    assert told[1] == "state hook: done"
    assert told[3].startswith("the state hook ended with 1")


def test_the_branch_is_shown(remote: Remote, night: Callable[..., Settings], tmp_path: Path) -> None:
    settings = night("first")

    assert list(describe(settings)) == [f"{STATE} of origin: not there yet; the first scheduled run makes it"]

    begin(settings, silent)
    set_stage(settings, train="a")
    carry(settings, silent, message="Night 1")
    commit_to_main(remote, tmp_path / "person", "code.py", "new\n")
    lines = list(describe(settings))

    assert lines[0].startswith(f"{STATE} of origin at ")
    assert lines[1] == "main has 1 commits that the next scheduled run merges in"
    assert lines[2].endswith(": Night 1")


def test_a_clone_of_the_state_branch_itself_takes_main_from_the_remote(remote: Remote, night: Callable[..., Settings]) -> None:
    """As a pull step with `branch: headrace/state` makes it."""
    begin(night("first"), silent)
    folder = remote.folder.parent / "of-state"
    subprocess.run(["git", "clone", "-q", "--branch", STATE, remote.folder.as_uri(), str(folder)], check=True)
    commit_to_main(remote, remote.folder.parent / "person", "code.py", "new\n")

    begin(Settings(project=folder, home=remote.folder.parent / "home"), silent)

    assert (folder / "code.py").read_text() == "new\n"
