"""How DVC's files are read and written: the cache's layout, what dvc.lock needs; and which keys reach which server."""

import hashlib
import json
from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.fingerprint import file_md5
from headrace.settings import WORKLOAD_IDENTITY, Settings
from headrace.storage.dvc_config import Remote, cache_folder, write_remote
from headrace.storage.dvc_remote import Need, cached, client_variables, needed

ENDPOINT = "https://s3.example.com"
ONE, TWO = (hashlib.md5(content, usedforsecurity=False).hexdigest() for content in (b"one", b"two"))
FOLDER = "0" * 32 + ".dir"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*WORKLOAD_IDENTITY, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def remote(**changes: str | None) -> Remote:
    values = {"name": "storage", "url": "s3://bucket/team", "endpoint": ENDPOINT, **changes}
    return Remote(**values, is_verified=True)  # type: ignore[arg-type]


def with_keys(project: Path, **more: str) -> Settings:
    return Settings(project=project, home=project / "home", s3_access_key="AKIAEXAMPLE", s3_secret_key="hush", **more)


def test_dvc_gets_the_keys_and_the_checksums_that_other_servers_take(project: Path) -> None:
    write_remote(project, remote(), shared=True)

    found = client_variables(with_keys(project))

    assert found == {
        "AWS_ENDPOINT_URL_S3": ENDPOINT,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def test_amazon_gets_its_own_defaults(project: Path) -> None:
    write_remote(project, remote(endpoint=None), shared=True)

    assert client_variables(with_keys(project, s3_region="eu-west-1")) == {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


@pytest.mark.parametrize("identity", WORKLOAD_IDENTITY)
def test_a_workload_identity_comes_before_keys_in_a_file(project: Path, monkeypatch: pytest.MonkeyPatch, identity: str) -> None:
    """A key left in .env would otherwise be used on the cluster too."""
    monkeypatch.setenv(identity, "something")
    write_remote(project, remote(), shared=True)

    assert not any("KEY" in name for name in client_variables(with_keys(project)))


def test_a_folder_as_remote_needs_no_keys(project: Path) -> None:
    write_remote(project, remote(url="/mnt/share", endpoint=None), shared=True)

    assert client_variables(with_keys(project)) == {}


def test_an_object_lies_where_dvc_looks_for_it(project: Path) -> None:
    assert cached(cache_folder(project), "0abc") == project / ".dvc" / "cache" / "files" / "md5" / "0a" / "bc"


def test_the_md5_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")

    assert file_md5(tmp_path / "file") == ONE


def lock(project: Path, *outs: str) -> None:
    text = "\n".join(f"    - {{hash: md5, {out}}}" for out in outs)
    (project / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  make:\n    cmd: make\n    outs:\n{text}\n")


def test_a_folder_needs_its_list_and_its_files(project: Path) -> None:
    lock(project, f"path: data/one, md5: {ONE}, size: 3", f"path: data/many, md5: {FOLDER}, size: 9")
    content = json.dumps([{"md5": TWO, "relpath": "2"}]).encode()

    assert needed(project, lambda _: content) == {
        ONE: Need(ONE, "data/one", "make", 3),
        FOLDER: Need(FOLDER, "data/many", "make", None),
        TWO: Need(TWO, "data/many/2", "make", None),
    }


def test_a_list_that_cannot_be_had_is_needed_still(project: Path) -> None:
    lock(project, f"path: data/many, md5: {FOLDER}, size: 9")

    assert list(needed(project, lambda _: None)) == [FOLDER]


def test_outputs_that_are_not_cached_or_not_pushed_need_nothing(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        "stages:\n  make:\n    cmd: make\n    outs: [here: {cache: false}]\n    metrics: [there: {push: false}]\n"
    )
    lock(project, f"path: here, md5: {ONE}", f"path: there, md5: {TWO}")

    assert needed(project, lambda _: None) == {}


def test_a_project_that_never_ran_is_told_so(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"no dvc\.lock"):
        needed(project, lambda _: None)
