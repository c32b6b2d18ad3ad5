"""The ledger of promotions on the state branch: real git remotes, real races, real MLflow stores."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.integration.test_registry import register_in, workspace
from tests.remotes import Remote, git, make_remote

from headrace.errors import EngineError, RegistryError, StateRefused
from headrace.registry import ledger
from headrace.registry.champions import rollback
from headrace.registry.judgement import PromoteParams
from headrace.registry.promotion import Workspace, promote
from headrace.registry.publishing import NAME, SharedLedger, decide, publisher, shared_ledger
from headrace.registry.tags import CHAMPION
from headrace.registry.versions import version_of
from headrace.settings import Settings
from headrace.state.branch import StateBranch
from headrace.state.git import Repository
from headrace.tracking.store import connect

BRANCH = "headrace/state"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return make_remote(tmp_path / "remote.git", {"code.py": "1\n"})


@pytest.fixture
def machine(remote: Remote, tmp_path: Path) -> Callable[[str], SharedLedger]:
    """A machine with its clone and its copy of the ledger: `machine("a")`."""

    def make(name: str) -> SharedLedger:
        folder = remote.clone(tmp_path / name)
        return SharedLedger(StateBranch(Repository(folder), "origin", BRANCH), tmp_path / f"{name}-home" / "ledger.jsonl")

    return make


def write(shared: SharedLedger, version: int, *, actor: str = "ada") -> ledger.Entry:
    """Add an entry as a promotion does."""

    def attempt() -> ledger.Entry:
        return ledger.append(
            shared.copy, time="2026-01-01T00:00:00+00:00", action="look", model="m", version=version, previous_version=None,
            package="p", actor=actor, publish=publisher(shared),
        )  # fmt: skip

    return decide(shared.copy, shared, attempt)


def on_branch(remote: Remote) -> list[ledger.Entry]:
    return ledger.parse(remote.read(BRANCH, NAME).encode() + b"\n", "branch")


def test_an_entry_of_one_machine_is_read_on_the_other(machine, remote):
    """One team, one history of champions."""
    a, b = machine("a"), machine("b")
    write(a, 1)
    write(b, 2)

    assert [entry.version for entry in on_branch(remote)] == [1, 2]
    assert a.refresh() == ""
    assert a.copy.read_bytes() == b.copy.read_bytes()


def test_what_one_machine_kept_before_comes_along(machine, remote):
    """The year's looks are not forgotten on the day the team begins to share."""
    a = machine("a")
    for version in (1, 2):
        ledger.append(
            a.copy, time="2026-01-01T00:00:00+00:00", action="look", model="m", version=version, previous_version=None,
            package="p", actor="ada",
        )  # fmt: skip
    write(a, 3)

    assert [entry.version for entry in on_branch(remote)] == [1, 2, 3]


@pytest.mark.fault
def test_two_ledgers_that_went_apart_are_not_mixed(machine, remote):
    """Which of them is true is no question for a program."""
    a, b = machine("a"), machine("b")
    ledger.append(
        b.copy,
        time="2026-01-01T00:00:00+00:00",
        action="look",
        model="m",
        version=7,
        previous_version=None,
        package="p",
        actor="b",
    )
    write(a, 1)

    with pytest.raises(RegistryError, match="different stories"):
        write(b, 8)
    assert [entry.version for entry in on_branch(remote)] == [1]


@pytest.mark.fault
def test_a_ledger_changed_on_the_branch_is_not_believed(machine, remote):
    """The branch is git's, the chain is ours."""
    a = machine("a")
    write(a, 1)
    a.branch.add(lambda _: {NAME: a.copy.read_bytes().replace(b'"version": 1', b'"version": 2')}, "By hand")
    b = machine("b")

    with pytest.raises(RegistryError, match=r"headrace/state of origin:ledger\.jsonl, line 1: this entry was changed"):
        write(b, 3)


_RACER = """
import sys
from pathlib import Path
from tests.integration.test_shared_ledger import BRANCH, write
from headrace.registry.publishing import SharedLedger
from headrace.state.branch import StateBranch
from headrace.state.git import Repository
shared = SharedLedger(StateBranch(Repository(Path(sys.argv[1])), "origin", BRANCH), Path(sys.argv[2]))
for number in range(int(sys.argv[3])):
    write(shared, number, actor=sys.argv[1])
"""


@pytest.mark.fault
def test_no_entry_is_lost_in_a_race_of_machines(machine, remote):
    """A push is the compare-and-swap: whoever loses reads again and writes after the winner."""
    machines, each = [machine(name) for name in "abc"], 3
    root = Path(__file__).resolve().parents[2]
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, str(a.branch.repository.folder), str(a.copy), str(each)], cwd=root)
        for a in machines
    ]
    assert [racer.wait(240) for racer in racers] == [0, 0, 0]

    entries = on_branch(remote)  # raises where the chain is broken
    assert sorted((entry.actor, entry.version) for entry in entries) == sorted(
        (str(a.branch.repository.folder), number) for a in machines for number in range(each)
    )


@pytest.mark.fault
def test_machines_of_one_home_share_the_copy(machine, remote):
    """Two checkouts on one machine: the lock of the copy orders them, the branch has every entry."""
    a = machine("a")
    b = replace(machine("b"), copy=a.copy)
    with ThreadPoolExecutor(4) as racers:  # flock is held by the open file: threads are as good as processes here
        list(racers.map(write, (a, b, a, b), range(4)))

    assert sorted(entry.version for entry in on_branch(remote)) == [0, 1, 2, 3]


@pytest.mark.fault
def test_a_push_of_the_night_in_between_is_no_reason_to_judge_anew(machine, remote):
    """dvc.lock moves on the same branch; the ledger that was read is still the ledger."""
    a, b = machine("a"), machine("b")
    write(a, 1)
    attempts = []

    def attempt() -> ledger.Entry:
        attempts.append(1)
        b.branch.add(lambda _: {"dvc.lock": b"stages: {}\n"}, "Night")
        return ledger.append(
            a.copy, time="2026-01-01T00:00:00+00:00", action="look", model="m", version=2, previous_version=None, package="p",
            actor="ada", publish=a.publish,
        )  # fmt: skip

    decide(a.copy, a, attempt)

    assert len(attempts) == 1
    assert len(on_branch(remote)) == 2
    assert remote.read(BRANCH, "dvc.lock") == "stages: {}"


@pytest.mark.fault
def test_who_only_reads_gets_along_without_the_remote(machine, remote):
    a = machine("a")
    write(a, 1)
    git(a.branch.repository.folder, "remote", "set-url", "origin", "/nowhere")

    assert "as of the last time that headrace/state of origin was reached" in a.refresh()
    assert len(ledger.read(a.copy)) == 1
    with pytest.raises(EngineError, match="does not answer"):
        write(a, 2)


@dataclass(frozen=True)
class Overtaken(SharedLedger):
    """A machine that is overtaken once: just before its first push another one does what it does."""

    others: list[Callable[[], object]]

    def publish(self, before: bytes, after: bytes, message: str) -> None:
        if self.others:
            self.others.pop()()
        super().publish(before, after, message)


@pytest.fixture
def contest(sqlite_store, make_package, make_splits, write_predictions, tmp_path, machine):
    """A champion, and a challenger that is better: `contest(shared)` is the workspace of a machine."""
    splits = make_splits(wrong=frozenset(range(20)))
    one, two = make_package("one"), make_package("two")
    predictions = write_predictions(splits)

    def of(shared: SharedLedger, package: Path = two) -> Workspace:
        place = workspace(tmp_path, package, predictions, splits.folder / "test")
        return replace(place, ledger=shared.copy, shared=shared)

    register_in(sqlite_store, "digits", one)
    promote(sqlite_store, PromoteParams(), model="digits", workspace=of(machine("first"), one), actor="ada")
    register_in(sqlite_store, "digits", two)
    return of


@pytest.mark.fault
@pytest.mark.parametrize("before_push", [1, 2])
def test_of_two_promoters_the_loser_judges_anew(contest, sqlite_store, machine, remote, before_push):
    """Overtaken at its look or at its promotion: one look is counted, one promotion written, and both say the same."""
    a, b = machine("a"), machine("b")
    told = []

    def other() -> None:
        told.append(promote(sqlite_store, PromoteParams(), model="digits", workspace=contest(b), actor="bob"))

    others: list[Callable[[], object]] = [other] + [lambda: None] * (before_push - 1)
    overtaken = Overtaken(a.branch, a.copy, others)

    ours = promote(sqlite_store, PromoteParams(), model="digits", workspace=contest(overtaken), actor="ada")

    assert [entry.action for entry in on_branch(remote)] == ["promote", "look", "promote"]
    assert on_branch(remote)[-1].actor == "bob"
    assert (told[0].decision, told[0].is_new) == ("promoted", True)
    assert (ours.decision, ours.is_new) == ("promoted", False), "it was champion already when it was read again"
    assert ours.look == told[0].look == 1


@pytest.mark.fault
def test_a_protected_branch_changes_nothing(contest, sqlite_store, machine, remote, tmp_path):
    """No look is counted that nobody may write down, none is told, and the champion stays; with the approval it goes through."""
    a = machine("a")
    remote.protect(BRANCH)
    (tmp_path / "promotion.json").unlink()

    with pytest.raises(StateRefused, match="takes no push from here"):
        promote(sqlite_store, PromoteParams(), model="digits", workspace=contest(a), actor="ada")

    client = connect(sqlite_store.uri)
    assert int(version_of(client, "digits", CHAMPION).version) == 1
    assert len(on_branch(remote)) == len(ledger.read(a.copy)) == 1
    assert not (tmp_path / "promotion.json").exists()

    remote.unprotect()
    outcome = promote(sqlite_store, PromoteParams(), model="digits", workspace=contest(a), actor="eve")

    assert outcome.decision == "promoted"


def test_a_rollback_is_written_on_the_branch(contest, sqlite_store, machine, remote, tmp_path):
    a, b = machine("a"), machine("b")
    promote(sqlite_store, PromoteParams(), model="digits", workspace=contest(a), actor="ada")

    back = rollback(sqlite_store, model="digits", path=b.copy, cache=tmp_path / "cache" / "packages", actor="bob", shared=b)

    assert (back.version, back.actor) == (1, "bob")
    assert [entry.action for entry in on_branch(remote)] == ["promote", "look", "promote", "rollback"]


def test_the_ledger_is_shared_only_where_somebody_wanted_it(remote, tmp_path, machine):
    """Who clones a public project has a registry of his own, and must not write into the project's ledger."""
    folder, home = remote.clone(tmp_path / "clone"), tmp_path / "home"
    plain = Settings(project=folder, home=home)
    team = Settings(project=folder, home=home, mlflow_tracking_uri="http://mlflow.example:5000", services=False)

    assert shared_ledger(plain) is None
    assert shared_ledger(team) is None, "the remote has no state branch yet"
    named = shared_ledger(Settings(project=folder, home=home, state_branch="team/state"))
    assert named is not None
    assert named.branch.name == "team/state"

    git(folder, "checkout", "-q", "-b", BRANCH)
    assert shared_ledger(plain) is not None, "a scheduled run's checkout is on the branch"
    git(folder, "checkout", "-q", "main")

    write(machine("a"), 1)

    assert shared_ledger(plain) is None
    assert shared_ledger(team) is not None
    shared = shared_ledger(team)
    assert shared is not None
    write(shared, 2)
    assert shared_ledger(plain) is not None, "this home's ledger is on the branch now, whoever asks"
    assert json.loads(shared.copy.read_bytes().splitlines()[-1])["version"] == 2
