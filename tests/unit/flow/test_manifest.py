"""infra/prefect.yaml, read and refused."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import GIT, REPOSITORY

from headrace.errors import ConfigError
from headrace.flow.manifest import FILE, read_manifest
from headrace.settings import Settings

STANZA = """
  - name: train
    entrypoint: pipelines/train.py:train
    schedules: [{slug: nightly, cron: "0 3 * * *", timezone: Europe/Berlin}]
    work_pool: {name: pool}
    pull: [{prefect.deployments.steps.git_clone: {repository: "{{ $HEADRACE_REPOSITORY }}"}}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Settings]:
    """A project with a file of deployments and an origin."""

    def make(text: str = STANZA, *, origin: str = "https://git.example.invalid/team/repo.git") -> Settings:
        (tmp_path / "infra").mkdir()
        (tmp_path / FILE).write_text(f"deployments:{text}")
        subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
        if origin:
            subprocess.run([*GIT, "remote", "add", "origin", origin], cwd=tmp_path, check=True)
        return Settings(project=tmp_path)

    return make


def test_the_repository_is_the_clones_origin_unless_a_setting_names_another(project: Callable[..., Settings]) -> None:
    """The file is the same for everybody who clones the project."""
    settings = project()
    named = settings.model_copy(update={"repository": "ssh://git@example.invalid/other.git"})

    steps = [read_manifest(each)[0].pull[0] for each in (settings, named)]

    assert [step["prefect.deployments.steps.git_clone"]["repository"] for step in steps] == [
        "https://git.example.invalid/team/repo.git",
        "ssh://git@example.invalid/other.git",
    ]


def test_the_reference_projects_own_file_is_right() -> None:
    """It is what a user starts from, and every run of it tells that it lives."""
    settings = Settings(project=REPOSITORY, repository="https://git.example.invalid/team/repo.git")

    found = {each.name: each for each in read_manifest(settings)}

    assert {"train", "promote", "sweep"} <= found.keys()
    assert all(each.concurrency_limit.limit == 1 for each in found.values())
    assert found["train"].heartbeat_s == found["promote"].heartbeat_s == 30


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (STANZA.replace("timezone: Europe/Berlin", "active: true"), "timezone"),
        (STANZA.replace("Europe/Berlin", "Atlantis"), "no time zone"),
        (STANZA.replace("nightly, cron", "nightly, interval: 60, cron"), "cron or interval"),
        (STANZA.replace("entrypoint", "entry_point"), "entrypoint"),
        (STANZA + STANZA, "two deployments are called train"),
    ],
    ids=["no time zone", "unknown time zone", "two kinds", "misspelt", "twice"],
)
def test_a_mistake_in_the_file_is_named(project: Callable[..., Settings], text: str, told: str) -> None:
    """It would be found at three in the morning otherwise."""
    with pytest.raises(ConfigError, match=told):
        read_manifest(project(text))


@pytest.mark.fault
def test_a_password_in_the_repositorys_url_is_refused(project: Callable[..., Settings]) -> None:
    """The Prefect server shows pull steps to everybody who may log in."""
    settings = project(origin="https://robot:s3cret-canary@git.example.invalid/team/repo.git")

    with pytest.raises(ConfigError, match="holds a password") as refused:
        read_manifest(settings)

    assert "s3cret-canary" not in str(refused.value)


def test_without_a_repository_the_message_says_what_to_set(project: Callable[..., Settings]) -> None:
    """A project that was never pushed cannot run elsewhere."""
    with pytest.raises(ConfigError, match=re.escape("HEADRACE_REPOSITORY")):
        read_manifest(project(origin=""))
