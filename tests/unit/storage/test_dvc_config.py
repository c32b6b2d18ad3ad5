"""What DVC's configuration says of remote and cache, as DVC itself reads it."""

from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.storage.dvc_config import Remote, cache_folder, check_verified, default_remote, write_remote

ENDPOINT = "https://s3.example.com"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def remote(**changes: str | None) -> Remote:
    values = {"name": "storage", "url": "s3://bucket/team", "endpoint": ENDPOINT, **changes}
    return Remote(**values, is_verified=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "bucket", "key"),
    [
        ("s3://bucket/team/data", "bucket", "team/data/files/md5/0a/bc"),
        ("s3://bucket/team/", "bucket", "team/files/md5/0a/bc"),
        ("s3://bucket", "bucket", "files/md5/0a/bc"),
    ],
)
def test_keys_are_those_of_dvc(url: str, bucket: str, key: str) -> None:
    found = remote(url=url)

    assert (found.bucket, found.key("0abc"), found.is_s3) == (bucket, key, True)


def test_what_is_written_is_read_back(project: Path) -> None:
    path = write_remote(project, remote(), shared=True)

    assert default_remote(project) == remote()
    assert path == project / ".dvc" / "config"
    assert "verify = true" in path.read_text()


def test_the_checkouts_own_file_is_stronger_and_keeps_what_it_had(project: Path) -> None:
    """As DVC reads them: config.local goes last. The cache that setup wrote there stays."""
    write_remote(project, remote(), shared=True)
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = /elsewhere\n")

    write_remote(project, remote(url="s3://own", endpoint=None), shared=False)

    found = default_remote(project)
    assert found is not None
    assert found.url == "s3://own"
    assert cache_folder(project) == Path("/elsewhere")


def test_a_second_remote_of_the_name_replaces_the_first(project: Path) -> None:
    """An endpoint that was left behind would send the keys to the old server."""
    write_remote(project, remote(), shared=True)
    write_remote(project, remote(endpoint=None), shared=True)

    found = default_remote(project)
    assert found is not None
    assert found.endpoint is None


def test_a_project_without_a_remote_has_none(project: Path) -> None:
    assert default_remote(project) is None


def test_a_default_remote_that_is_not_there_is_named(project: Path) -> None:
    (project / ".dvc" / "config").write_text("[core]\n    remote = gone\n")

    with pytest.raises(ConfigError, match="the remote 'gone', and there is none"):
        default_remote(project)


def test_a_file_that_cannot_be_read_is_named(project: Path) -> None:
    (project / ".dvc" / "config").write_text("<<<<<<< ours\n")

    with pytest.raises(ConfigError, match="config"):
        default_remote(project)


@pytest.mark.parametrize(("written", "is_verified"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_a_remote_that_does_not_compare_is_refused(project: Path, written: str, is_verified: bool) -> None:
    line = f"    verify = {written}\n" if written else ""
    (project / ".dvc" / "config").write_text(f"[core]\n    remote = x\n['remote \"x\"']\n    url = s3://b\n{line}")
    found = default_remote(project)

    assert found is not None
    assert found.is_verified is is_verified
    if not is_verified:
        with pytest.raises(ConfigError, match="dvc remote modify x verify true"):
            check_verified(found)
