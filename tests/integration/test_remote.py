"""A small DVC project and its bucket: what is sent is looked at, what is broken is named, and mended from the cache."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.utils import dict_sha256
from ruamel.yaml import YAML
from tests.faulty_proxy import proxy
from tests.projects import BIN, GIT
from tests.sent_project import ALONE, DAG, TWO, SentProject, key, make_sent
from tests.services import ObjectStore, free_port

from headrace.errors import ConfigError, EngineError
from headrace.flow.launcher import Launcher
from headrace.flow.transfer import pull, push
from headrace.project.remote import add_remote, remote_line
from headrace.settings import Settings
from headrace.storage.audit import audit, lines
from headrace.storage.dvc_config import cache_folder, default_remote
from headrace.storage.dvc_remote import cached


def write_result(settings: Settings, text: str) -> str:
    """An entry of the run-cache, as a stage leaves it; returns its name."""
    digest = dict_sha256(YAML(typ="safe").load(text))
    path = cache_folder(settings.project) / "runs" / "ab" / ("a" * 64) / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path.relative_to(cache_folder(settings.project)).as_posix()


@pytest.fixture
def project(object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SentProject:
    for name, value in object_store.variables.items():
        monkeypatch.setenv(name, value)
    return make_sent(object_store, tmp_path / "here")


def test_what_is_pushed_is_sound_and_comes_back(project: SentProject, tmp_path: Path) -> None:
    found = audit(project.settings, sample=None)
    there = project.elsewhere(tmp_path / "there")

    told = pull(there, lambda _: None)

    assert (found.objects, found.hashed, found.broken) == (4, 4, [])
    assert "fetched" in told
    assert (there.project / "data" / "many" / "2").read_text() == "two\n"


def test_the_remote_checks_what_it_gives_and_holds_no_secret(project: SentProject) -> None:
    """Without `verify = true` DVC takes corrupted objects for right."""
    written = (project.settings.project / ".dvc" / "config.local").read_text()

    assert "verify = true" in written
    assert project.store.secret_key not in written
    assert remote_line(project.settings).endswith("verify = true")


def test_a_remote_that_does_not_check_is_refused(project: SentProject) -> None:
    path = project.settings.project / ".dvc" / "config.local"
    path.write_text(path.read_text().replace("verify = true\n", ""))

    for act in (lambda: pull(project.settings, lambda _: None), lambda: remote_line(project.settings)):
        with pytest.raises(ConfigError, match="verify = true"):
            act()


@pytest.mark.fault
def test_missing_and_corrupted_objects_are_named_and_mended(project: SentProject) -> None:
    """DVC says "up to date" to both, because the folder's list is there."""
    project.delete(TWO)
    project.overwrite(ALONE, b"alonf\n")

    found = audit(project.settings, sample=0)
    mended = audit(project.settings, sample=0, repair=True)

    assert [(each.what, each.output, each.key) for each in found.left] == [
        ("missing", "data/many/2", key(TWO)),
        ("corrupted", "data/one", key(ALONE)),
    ]
    assert len(mended.broken) == 2
    assert mended.left == []
    assert audit(project.settings, sample=None).broken == []


@pytest.mark.fault
def test_a_lost_list_of_a_folder_is_mended(project: SentProject, tmp_path: Path) -> None:
    client = project.store.client()
    listed = [each["Key"] for each in client.list_objects_v2(Bucket=project.bucket, Prefix="team/files/")["Contents"]]
    lost = next(each for each in listed if each.endswith(".dir"))
    client.delete_object(Bucket=project.bucket, Key=lost)

    assert [each.key for each in audit(project.settings, sample=0, repair=True).broken] == [lost]
    pull(project.elsewhere(tmp_path / "there"), lambda _: None)


@pytest.mark.fault
def test_a_corrupted_copy_mends_nothing(project: SentProject) -> None:
    project.delete(TWO)
    local = cached(cache_folder(project.settings.project), TWO)
    local.chmod(0o644)
    local.write_bytes(b"twu\n")

    found = audit(project.settings, sample=0, repair=True)

    assert "corrupted too" in found.left[0].why
    assert "1 broken" in lines(found)[0]


@pytest.mark.fault
def test_push_stores_again_what_the_bucket_lost(project: SentProject) -> None:
    project.delete(TWO)

    assert "1 repaired" in push(project.settings, lambda _: None)


@pytest.mark.fault
def test_a_lost_bucket_is_filled_again_from_one_checkout(project: SentProject, tmp_path: Path) -> None:
    """As docs/how-to/restore-after-a-disaster.md has it: branch by branch, without any output of the others checked out."""
    folder = project.settings.project
    (folder / ".gitignore").write_text("/data/\n/.headrace/\n")

    def commit(branch: str) -> None:
        for command in (["switch", "-q", "-c", branch], ["add", "-A"], ["commit", "-q", "-m", branch]):
            subprocess.run([*GIT, *command], cwd=folder, check=True)

    commit("first")
    (folder / "dvc.yaml").write_text(DAG.replace("alone", "changed"))
    subprocess.run([BIN / "dvc", "repro", "-q"], cwd=folder, check=True)
    commit("second")

    add_remote(project.settings, f"s3://{project.store.make_bucket()}/team", name="storage")
    found = {}
    for branch in ("first", "second"):
        subprocess.run(["git", "switch", "-q", "--detach", branch], cwd=folder, check=True)
        push(project.settings, lambda _: None)
        there = project.elsewhere(tmp_path / branch)
        pull(there, lambda _: None)
        found[branch] = (there.project / "data" / "one").read_text()

    assert found == {"first": "alone\n", "second": "changed\n"}


@pytest.mark.fault
def test_a_push_without_a_server_keeps_the_work_and_the_next_one_sends_it(project: SentProject, tmp_path: Path) -> None:
    """Nobody listens, then somebody does: the outputs are where they were, and all of them arrive."""
    config = project.settings.project / ".dvc" / "config.local"
    down = f"http://127.0.0.1:{free_port()}"
    project.delete(TWO)
    text = config.read_text()
    config.write_text(text.replace(project.store.endpoint, down))

    with pytest.raises(EngineError, match=f"push failed: .*{down}.*headrace push goes on from it"):
        push(project.settings, lambda _: None)

    assert (project.settings.project / "data" / "many" / "2").read_text() == "two\n"
    config.write_text(text)
    push(project.settings, lambda _: None)
    assert audit(project.settings, sample=None).broken == []


@pytest.mark.fault
def test_a_push_whose_credentials_expire_says_so_without_the_secret(project: SentProject) -> None:
    """A session's token ends in the middle of an upload: what has arrived stays, and nothing is sent twice."""
    with proxy(project.store.endpoint) as faulty:
        config = project.settings.project / ".dvc" / "config.local"
        config.write_text(config.read_text().replace(project.store.endpoint, faulty.url))
        for md5 in (TWO, ALONE):
            project.delete(md5)
        faulty.spoil("expired", 10_000, after=3)

        with pytest.raises(ConfigError, match=r"AWS_ACCESS_KEY_ID.* have expired") as refused:
            push(project.settings, lambda _: None)

        assert project.store.secret_key not in str(refused.value)
        faulty.spoil("", 0)
        push(project.settings, lambda _: None)
        assert audit(project.settings, sample=None).broken == []


@pytest.mark.fault
def test_a_pull_of_a_corrupted_object_fails_and_names_it(project: SentProject, tmp_path: Path) -> None:
    project.overwrite(ALONE, b"alonf\n")
    there = project.elsewhere(tmp_path / "there")

    with pytest.raises(EngineError, match=r"data/one \(corrupted, team/files/md5/"):
        pull(there, lambda _: None)

    assert not (there.project / "data" / "one").exists()


def test_a_push_with_nothing_to_do_asks_the_bucket_only(project: SentProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sees all the same what the bucket lost since."""
    with monkeypatch.context() as patch:
        patch.delattr(Launcher, "__enter__")
        assert push(project.settings, lambda _: None).startswith("nothing to send; ")

    project.delete(TWO)
    assert "1 repaired" in push(project.settings, lambda _: None)


def test_a_pull_with_nothing_to_do_asks_the_bucket_only(
    project: SentProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And sees all the same what is not here any more, and what the bucket has got since."""
    there = project.elsewhere(tmp_path / "there")
    pull(there, lambda _: None)

    with monkeypatch.context() as patch:
        patch.delattr(Launcher, "__enter__")
        assert pull(there, lambda _: None) == "everything is here already"

    (there.project / "data" / "one").unlink()
    assert "added" in pull(there, lambda _: None)
    cached(cache_folder(there.project), TWO).unlink()
    pull(there, lambda _: None)
    assert cached(cache_folder(there.project), TWO).read_text() == "two\n"
    name = write_result(project.settings, "cmd: new\n")
    project.delete(TWO)
    push(project.settings, lambda _: None)
    pull(there, lambda _: None)
    assert (cache_folder(there.project) / name).exists()


def test_results_of_the_run_cache_are_sent_once(project: SentProject, tmp_path: Path) -> None:
    """DVC sends all of them each time, one after the other."""
    client = project.store.client()

    def results() -> dict[str, object]:
        listed = client.list_objects_v2(Bucket=project.bucket, Prefix="team/runs/")["Contents"]
        return {each["Key"]: each["LastModified"] for each in listed}

    def compute(number: str) -> None:
        """An entry as a stage leaves it, and an output to send, so that DVC has work to do."""
        write_result(project.settings, f"cmd: {number}\n")
        project.delete(TWO)
        push(project.settings, lambda _: None)

    compute("1")
    before = results()
    compute("2")

    assert {key: when for key, when in results().items() if key in before} == before
    assert len(results()) == len(before) + 1 == 2
    there = project.elsewhere(tmp_path / "there")
    pull(there, lambda _: None)
    assert sorted(path.read_text() for path in cache_folder(there.project).glob("runs/??/*/*")) == ["cmd: 1\n", "cmd: 2\n"]


@pytest.mark.fault
@pytest.mark.parametrize("content", [b"cmd: other\n", b"<!DOCTYPE html><html><body>Please log in</body></html>", b"- 1\n", b""])
def test_a_result_that_is_not_what_its_name_says_is_left_out(project: SentProject, tmp_path: Path, content: bytes) -> None:
    """It would bring back, as the outputs of a stage, what that stage never made."""
    sound = write_result(project.settings, "cmd: sound\n")
    wrong = write_result(project.settings, "cmd: right\n")
    project.delete(TWO)
    push(project.settings, lambda _: None)
    project.store.client().put_object(Bucket=project.bucket, Key=f"team/{wrong}", Body=content)
    there = project.elsewhere(tmp_path / "there")

    pull(there, lambda _: None)

    cache = cache_folder(there.project)
    assert [path.relative_to(cache).as_posix() for path in cache.glob("runs/??/*/*")] == [sound]


@pytest.mark.fault
def test_a_corrupted_object_of_the_cache_is_never_sent(project: SentProject, tmp_path: Path) -> None:
    """DVC believes a read-only file unread; the bucket would hand it to everybody."""
    add_remote(project.settings, f"s3://{project.bucket}/other/", name="storage")
    local = cached(cache_folder(project.settings.project), ALONE)
    local.chmod(0o644)
    local.write_bytes(b"alonf\n")
    local.chmod(0o444)

    with pytest.raises(EngineError, match=r"data/one"):
        push(project.settings, lambda _: None)

    stored = project.store.client().list_objects_v2(Bucket=project.bucket, Prefix="other/files/")["Contents"]
    assert not any(each["Key"].endswith(ALONE[2:]) for each in stored)


@pytest.mark.fault
def test_a_pull_replaces_a_corrupted_object_of_the_cache(project: SentProject) -> None:
    local = cached(cache_folder(project.settings.project), ALONE)
    local.chmod(0o644)
    local.write_bytes(b"alonf\n")
    local.chmod(0o444)
    shutil.rmtree(project.settings.project / "data")

    pull(project.settings, lambda _: None)

    assert (project.settings.project / "data" / "one").read_text() == "alone\n"
    assert local.read_text() == "alone\n"


def test_a_bucket_that_cannot_be_used_is_not_recorded(project: SentProject) -> None:
    before = default_remote(project.settings.project)

    with pytest.raises(ConfigError, match="no bucket 'not-there'"):
        add_remote(project.settings, "s3://not-there/team", name="other")
    with pytest.raises(ConfigError, match="no bucket"):
        add_remote(project.settings, "data/folder", name="other")

    assert default_remote(project.settings.project) == before


def test_a_bucket_can_be_made(project: SentProject) -> None:
    told = add_remote(project.settings, f"s3://{project.bucket}-more/team", name="other", create=True, shared=True)

    assert "Written to .dvc/config (" in told
