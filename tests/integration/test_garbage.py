"""`headrace gc`: two checkouts of one project, a bucket, registered models; what somebody still needs is never deleted."""

import hashlib
import json
import os
import subprocess
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.projects import BIN, GIT
from tests.services import ObjectStore

from headrace.errors import ConfigError, DataError, EngineError, WorkspaceBusy
from headrace.fingerprint import file_md5
from headrace.flow.garbage import Collection, collect, lines
from headrace.flow.transfer import pull, push
from headrace.flow.workspace import hold_workspace
from headrace.project.remote import add_remote
from headrace.project.setup import ensure_set_up
from headrace.settings import Settings
from headrace.storage.dvc_config import cache_folder
from headrace.storage.dvc_remote import cached
from headrace.storage.s3 import Bucket
from headrace.tracking.store import connect, prepare

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's

DAG = """stages:
  make:
    cmd: mkdir -p data/many && cp seed data/many/1 && cp seed data/one && echo more >> data/one && echo same > data/many/same
    deps: [seed]
    outs: [data/many, data/one]
"""
DAY_S = 86400


@dataclass
class Checkout:
    """A small project in git; several share one state folder."""

    folder: Path
    home: Path

    @property
    def settings(self) -> Settings:
        return Settings(project=self.folder, home=self.home)

    def git(self, *arguments: str) -> str:
        return subprocess.run([*GIT, *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def make(self, content: str, *, commit: bool = True) -> str:
        """Run the stage with another input; MD5 of data/one."""
        (self.folder / "seed").write_text(f"{content}\n")
        subprocess.run([BIN / "dvc", "repro", "-q"], cwd=self.folder, check=True)
        return self._committed(content, commit=commit)

    def note(self, content: str, *, commit: bool = True) -> str:
        """As `make`, with DVC's files written by hand: a second less."""
        seed, one = f"{content}\n", f"{content}\nmore\n"
        (self.folder / "data" / "many").mkdir(parents=True, exist_ok=True)
        for name, text in {"seed": seed, "data/one": one, "data/many/1": seed, "data/many/same": "same\n"}.items():
            (self.folder / name).write_text(text)
        files = [{"md5": self._store(seed), "relpath": "1"}, {"md5": self._store("same\n"), "relpath": "same"}]
        many, single = self._store(json.dumps(files), ".dir"), self._store(one)
        entry = "cmd: make\ndeps:\n- path: seed\n  hash: md5\n  md5: " + file_md5(self.folder / "seed") + "\nouts:\n"
        entry += f"- path: data/many\n  hash: md5\n  md5: {many}\n  size: 9\n- path: data/one\n  hash: md5\n  md5: {single}\n"
        name = hashlib.sha256(entry.encode()).hexdigest()
        result = cache_folder(self.folder) / "runs" / name[:2] / name / name
        result.parent.mkdir(parents=True)
        result.write_text(entry)
        (self.folder / "dvc.lock").write_text("schema: '2.0'\nstages:\n  make:\n" + textwrap.indent(entry, "    "))
        return self._committed(content, commit=commit)

    def _store(self, content: str, suffix: str = "") -> str:
        md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest() + suffix
        path = cached(cache_folder(self.folder), md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return md5

    def _committed(self, content: str, *, commit: bool) -> str:
        if commit:
            self.git("add", "-A")
            self.git("commit", "-q", "-m", content)
        return file_md5(self.folder / "data" / "one")

    def has(self, md5: str) -> bool:
        return cached(cache_folder(self.folder), md5).exists()

    def collect(self, **options: Any) -> Collection:
        """As in two months, so that nothing is young."""
        return collect(self.settings, **{"dry_run": False, "remote": False, "now": time.time() + 60 * DAY_S, **options})

    def restore(self) -> None:
        """Delete the outputs and bring them back from the cache."""
        subprocess.run(["rm", "-r", self.folder / "data"], check=True)
        subprocess.run([BIN / "dvc", "checkout", "-q"], cwd=self.folder, check=True)


def set_up(folder: Path, home: Path) -> Checkout:
    made = Checkout(folder, home)
    ensure_set_up(made.settings)
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(DAG)
    (folder / "params.yaml").write_text("{}\n")
    (folder / ".gitignore").write_text("/data/\n/.headrace/\n")
    subprocess.run([*GIT, "init", "-q", "-b", "main"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    return set_up(folder, tmp_path / "home")


@pytest.fixture
def there(here: Checkout, tmp_path: Path) -> Checkout:
    """A second clone that shares the state folder."""
    here.note("first")
    subprocess.run(["git", "clone", "-q", str(here.folder), str(tmp_path / "there")], check=True)
    return set_up(tmp_path / "there", tmp_path / "home")


def test_what_nothing_names_goes_and_what_is_named_stays(here: Checkout) -> None:
    old, new = here.make("old", commit=False), here.make("new")

    done = here.collect()

    assert (here.has(old), here.has(new)) == (False, True)
    assert [(path, count) for path, count, _ in done.places[0].by_output()] == [("data/many", 2), ("data/one", 1)]
    assert "data/one" in "\n".join(lines(done))
    here.restore()


def test_a_dry_run_deletes_nothing_and_says_what_would_go(here: Checkout) -> None:
    old = here.note("old", commit=False)
    here.note("new")

    tried, done = here.collect(dry_run=True), here.collect(dry_run=True)

    assert here.has(old)
    assert tried == done
    assert done.freed_bytes > 0
    assert lines(done)[-1].endswith("would be freed; nothing was deleted")
    assert here.collect().places[0].gone == done.places[0].gone


@pytest.mark.fault
def test_the_other_checkout_keeps_what_it_alone_uses(here: Checkout, there: Checkout) -> None:
    """`dvc gc -w` deletes it. What is not committed there counts too."""
    theirs = there.make("theirs", commit=False)
    (there.folder / "data" / "one").unlink()
    subprocess.run(["rm", "-r", there.folder / "data"], check=True)

    done = here.collect()

    assert here.has(theirs)
    assert done.checkouts == [str(here.folder), str(there.folder)]
    subprocess.run([BIN / "dvc", "checkout", "-q"], cwd=there.folder, check=True)
    assert (there.folder / "data" / "one").read_text() == "theirs\nmore\n"


def test_a_worktree_that_was_never_set_up_counts(here: Checkout, tmp_path: Path) -> None:
    first = here.note("first")
    here.git("worktree", "add", "-q", "-b", "aside", str(tmp_path / "aside"))
    (tmp_path / "aside" / "dvc.lock").write_text((here.folder / "dvc.lock").read_text())
    here.git("-C", str(tmp_path / "aside"), "checkout", "-q", "--detach")
    here.git("branch", "-q", "-D", "aside")
    here.note("second")
    here.git("commit", "-q", "--amend", "--no-edit")

    here.collect()

    assert here.has(first)


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated tag", "stash"])
def test_what_git_names_stays(here: Checkout, kind: str) -> None:
    here.note("zero")
    named = here.note("named", commit=kind != "stash")
    if kind == "stash":
        here.git("stash", "-q")
    else:
        command = {"branch": ["branch", "x"], "tag": ["tag", "x"], "annotated tag": ["tag", "-a", "-m", "x", "x"]}[kind]
        here.git(*command)
        here.git("reset", "-q", "--hard", "HEAD~1")
    here.note("now")

    here.collect()

    assert here.has(named)


def test_both_sides_of_a_conflict_stay(here: Checkout) -> None:
    """A lock that cannot be parsed still names what its sides need."""
    one, text = here.note("one", commit=False), (here.folder / "dvc.lock").read_text()
    two, other = here.note("two", commit=False), (here.folder / "dvc.lock").read_text()
    (here.folder / "dvc.lock").write_text(f"<<<<<<< ours\n{text}=======\n{other}>>>>>>> theirs\n")

    here.collect()

    assert (here.has(one), here.has(two)) == (True, True)


def test_what_a_registered_model_was_made_of_stays(here: Checkout) -> None:
    """No branch names it any more; its version in the registry does."""
    made = here.note("model", commit=False)
    uri = here.settings.tracking_uri
    prepare(uri)
    client = connect(uri)
    run = client.create_run(client.create_experiment("e", artifact_location=(here.home / "artifacts").as_uri()))
    client.log_artifact(run.info.run_id, str(here.folder / "dvc.lock"), "provenance")
    client.create_registered_model("digits")
    client.create_model_version("digits", "source", run.info.run_id)
    here.note("later")

    done = here.collect()

    assert here.has(made)
    assert done.models == 1


def test_what_is_young_stays(here: Checkout) -> None:
    """Somebody may be about to record it."""
    old = here.note("old", commit=False)
    here.note("new")

    here.collect(now=time.time() + 3600)
    assert here.has(old)

    here.collect(older_than=0, now=time.time() + 3600)
    assert not here.has(old)


@pytest.mark.fault
def test_it_is_refused_while_a_run_is_at_work_in_any_checkout(here: Checkout, there: Checkout) -> None:
    old = here.note("old", commit=False)
    here.note("new")

    with hold_workspace(there.folder / ".headrace"), pytest.raises(WorkspaceBusy, match="there"):
        here.collect()
    with hold_workspace(there.folder / ".headrace"), pytest.raises(WorkspaceBusy):
        here.collect(dry_run=True)

    assert here.has(old)


@pytest.mark.fault
def test_it_is_refused_while_dvc_works_by_hand(here: Checkout) -> None:
    """Between the end of a stage and its entry in dvc.lock nothing names what it made."""
    here.make("first")
    fifo = here.folder / "gate"
    os.mkfifo(fifo)
    (here.folder / "dvc.yaml").write_text(DAG.replace("cmd: ", "cmd: cat gate > /dev/null && "))
    working = subprocess.Popen([BIN / "dvc", "repro", "-q"], cwd=here.folder, start_new_session=True)
    try:
        with fifo.open("w"), pytest.raises(WorkspaceBusy, match="repro"):  # opens when the stage reads
            here.collect()
        assert working.wait(60) == 0
    finally:
        working.kill()


def test_a_checkout_that_is_gone_is_forgotten(here: Checkout, there: Checkout) -> None:
    theirs = there.note("theirs")
    subprocess.run(["rm", "-rf", there.folder], check=True)

    done = here.collect()

    assert done.forgotten == [str(there.folder)]
    assert not here.has(theirs)
    assert here.collect().forgotten == []


@pytest.mark.fault
def test_a_damaged_list_of_a_folder_stops_it(here: Checkout) -> None:
    """It says which files the folder has: without it they would look like garbage."""
    here.note("first")
    listed = next(cache_folder(here.folder).glob("files/md5/*/*.dir"))
    listed.chmod(0o644)
    listed.write_text("[]")

    with pytest.raises(DataError, match="nothing is deleted"):
        here.collect()


@pytest.mark.fault
def test_a_git_that_refuses_stops_it(here: Checkout) -> None:
    """As for a repository of another owner: no answer is not the answer that there are no branches."""
    here.note("first")
    (here.folder / ".git" / "HEAD").write_text("nonsense\n")

    with pytest.raises(EngineError, match="Nothing is deleted"):
        here.collect()


# The bucket


@pytest.fixture
def bucket(here: Checkout, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The remote of `here`."""
    for name, value in object_store.variables.items():
        monkeypatch.setenv(name, value)
    name = object_store.make_bucket()
    add_remote(here.settings, f"s3://{name}/team", name="storage", shared=True)
    return Bucket(here.settings, name, endpoint=object_store.endpoint)


def names(bucket: Bucket) -> set[str]:
    return {each.key.removeprefix("team/") for each in bucket.objects("team/")}


def key(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def test_the_bucket_keeps_what_is_named_and_restores_it(here: Checkout, bucket: Bucket, tmp_path: Path) -> None:
    old = here.make("old", commit=False)
    push(here.settings, lambda _: None)
    new = here.make("new")
    push(here.settings, lambda _: None)

    tried = here.collect(remote=True, dry_run=True)
    assert key(old) in names(bucket)
    done = here.collect(remote=True)

    assert key(old) not in names(bucket)
    assert key(new) in names(bucket)
    assert sum(name.startswith("runs/") for name in names(bucket)) == 1
    assert [each.gone for each in tried.places] == [each.gone for each in done.places]
    subprocess.run(["git", "clone", "-q", str(here.folder), str(tmp_path / "fresh")], check=True)
    fresh = set_up(tmp_path / "fresh", tmp_path / "fresh-home")
    pull(fresh.settings, lambda _: None)
    assert (fresh.folder / "data" / "one").read_text() == "new\nmore\n"


def test_the_bucket_keeps_what_is_younger_than_two_weeks(here: Checkout, bucket: Bucket) -> None:
    """Other machines push before they commit."""
    old = here.note("old", commit=False)
    push(here.settings, lambda _: None)
    here.note("new")

    here.collect(remote=True, now=time.time() + 10 * DAY_S)

    assert key(old) in names(bucket)
    assert not here.has(old)


def test_a_branch_that_was_not_fetched_stops_it(here: Checkout, bucket: Bucket, tmp_path: Path) -> None:
    """Somebody else's branch names objects that this clone knows nothing of."""
    here.note("first")
    subprocess.run(["git", "clone", "-q", "--bare", str(here.folder), str(tmp_path / "origin")], check=True)
    here.git("remote", "add", "origin", str(tmp_path / "origin"))
    subprocess.run(["git", "clone", "-q", str(tmp_path / "origin"), str(tmp_path / "other")], check=True)
    other = Checkout(tmp_path / "other", tmp_path / "other-home")
    other.git("commit", "-q", "--allow-empty", "-m", "theirs")
    other.git("push", "-q", "origin", "HEAD:theirs")

    with pytest.raises(ConfigError, match=r"origin has refs/heads/theirs.*git fetch"):
        here.collect(remote=True)

    here.git("fetch", "-q", "--all")
    here.collect(remote=True)


def test_uploads_that_never_ended_are_given_up(here: Checkout, bucket: Bucket, object_store: ObjectStore) -> None:
    here.note("first")
    client = object_store.client()
    upload = client.create_multipart_upload(Bucket=bucket.name, Key="team/files/md5/aa/bb")["UploadId"]
    client.upload_part(Bucket=bucket.name, Key="team/files/md5/aa/bb", UploadId=upload, PartNumber=1, Body=b"x" * 5_000_000)

    assert here.collect(remote=True, now=time.time() + 60).places[1].uploads == 0
    assert len(list(bucket.unfinished("team/"))) == 1
    assert here.collect(remote=True).places[1].uploads == 1
    assert list(bucket.unfinished("team/")) == []
