"""Objects of DVC in a cache, a folder and a real bucket: read and hashed, or named."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.services import ObjectStore

from headrace.errors import DataError
from headrace.settings import Settings
from headrace.storage.dvc_objects import Objects
from headrace.storage.dvc_remote import cached


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


LIST = json.dumps([{"md5": md5(b"one"), "relpath": "a/1"}]).encode()
FOLDER = f"{md5(LIST)}.dir"


@pytest.fixture(params=["cache", "folder", "bucket"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, str]:
    """A project with objects in one of the places; with one of the bytes wrong when asked for."""
    folder, remote = tmp_path / "project", tmp_path / "remote"
    (folder / ".dvc").mkdir(parents=True)
    config = "[core]\nremote = r\n"
    content = {FOLDER: LIST, md5(b"one"): b"one", md5(b"right"): b"wrong"}
    if request.param == "bucket":
        store: ObjectStore = request.getfixturevalue("object_store")
        for name, value in store.variables.items():
            monkeypatch.setenv(name, value)
        bucket = store.make_bucket()
        config += f"['remote \"r\"']\nurl = s3://{bucket}/team\nendpointurl = {store.endpoint}\n"
        for name, each in content.items():
            store.client().put_object(Bucket=bucket, Key=f"team/files/md5/{name[:2]}/{name[2:]}", Body=each)
    else:
        config += f"['remote \"r\"']\nurl = {remote}\n"
        for name, each in content.items():
            path = cached(remote if request.param == "folder" else folder / ".dvc" / "cache", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each)
    (folder / ".dvc" / "config").write_text(config)
    return Settings(project=folder, home=tmp_path / "home"), "cache" if request.param == "cache" else "remote"


def test_objects_are_hashed_and_brought(project: tuple[Settings, str], tmp_path: Path) -> None:
    """The members of a folder are found through its own object, wherever they are."""
    settings, where = project
    objects = Objects(settings)

    assert objects.members(FOLDER) == {"a/1": md5(b"one")}
    assert objects.hash(md5(b"one")).where == where
    for name in (FOLDER, md5(b"one")):
        objects.copy(name, tmp_path / "other")
    assert cached(tmp_path / "other", md5(b"one")).read_bytes() == b"one"
    assert cached(tmp_path / "other", FOLDER).read_bytes() == LIST


@pytest.mark.fault
@pytest.mark.parametrize("content", [b"right", b"nowhere"])
def test_what_is_wrong_or_missing_is_never_given(project: tuple[Settings, str], tmp_path: Path, content: bytes) -> None:
    """Neither to a hash nor to a copy nor to a reader."""
    objects = Objects(project[0])
    for ask in (objects.hash, objects.read, lambda name: objects.copy(name, tmp_path / "other")):
        with pytest.raises(DataError):
            ask(md5(content))

    assert not cached(tmp_path / "other", md5(content)).exists()
