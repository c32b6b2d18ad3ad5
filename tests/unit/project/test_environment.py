from importlib.metadata import version
from pathlib import Path

import pytest

from headrace.errors import ConfigError, EnvironmentMismatch
from headrace.project import environment
from headrace.storage.local import write_json


def lock(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(text)
    return path


def test_names_have_no_dots(tmp_path):
    """DVC reads a dotted name in a params file as nested keys."""
    assert environment.generate(lock(tmp_path, "ruamel.yaml==0.19.1\nFlufl_Lock==9.2 ; sys_platform == 'linux'\n")) == {
        "flufl-lock": "9.2",
        "ruamel-yaml": "0.19.1",
    }


def test_two_versions_by_marker_are_joined(tmp_path):
    """The value is the same on every platform, or a lock entry made on one would be stale on another."""
    text = "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:0a\nnumpy==2.5.5 ; python_full_version >= '3.12'\n"

    assert environment.generate(lock(tmp_path, text)) == {"numpy": "2.4.6|2.5.5"}


def test_a_local_version_counts_as_its_public_one(tmp_path):
    """The CPU and the CUDA build of torch are one version."""
    assert environment.generate(lock(tmp_path, "torch==2.13.0+cpu\n")) == {"torch": "2.13.0"}


def test_headrace_in_a_lock_becomes_its_result_revisions(tmp_path, monkeypatch):
    """In a user's project an upgrade reruns only stages whose results changed."""
    monkeypatch.setitem(environment.RESULT_REVISIONS, "collect", 3)
    monkeypatch.setattr(environment.plugins, "names", lambda room: ["collect", "split"])

    assert environment.generate(lock(tmp_path, "headrace==0.4.0\n")) == {"headrace": {"collect": 3, "split": 1}}


def test_an_unpinned_line_is_refused(tmp_path):
    """A lock that does not say which version says nothing about a result."""
    with pytest.raises(ConfigError, match=r":2: 'torch>=2'"):
        environment.generate(lock(tmp_path, "# head\ntorch>=2\n"))


def test_installed_packages_as_written_pass(tmp_path):
    write_json(tmp_path / "environment.json", {"pytest": version("pytest"), "pydantic": "1|" + version("pydantic")})

    environment.check_installed(["pytest", "pydantic"], tmp_path / "environment.json")


def test_every_difference_is_named(tmp_path):
    """One message tells all that must be installed."""
    write_json(tmp_path / "environment.json", {"pytest": "1.0", "no-such-package": "2"})

    with pytest.raises(EnvironmentMismatch) as caught:
        environment.check_installed(["pytest", "no-such-package", "unknown"], tmp_path / "environment.json")

    assert f"pytest {version('pytest')} is installed, 1.0 is wanted" in str(caught.value)
    assert "no-such-package 2 is not installed" in str(caught.value)
    assert "unknown is not in environment.json" in str(caught.value)


def test_another_result_revision_is_a_mismatch(tmp_path, monkeypatch):
    """The package was upgraded and the lock was not."""
    monkeypatch.setattr(environment, "revisions", lambda: {"train": 2, "split": 1})
    write_json(tmp_path / "environment.json", {"headrace": {"train": 1, "split": 1}})

    environment.check_installed(["headrace.split"], tmp_path / "environment.json")
    with pytest.raises(EnvironmentMismatch, match="result revisions for train"):
        environment.check_installed(["headrace.train"], tmp_path / "environment.json")


@pytest.mark.badinput
@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "[]", ""])
def test_a_broken_environment_file_is_refused_with_the_command_that_mends_it(tmp_path, text):
    """A merge conflict is the usual way it breaks."""
    (tmp_path / "environment.json").write_text(text)

    with pytest.raises(ConfigError, match="headrace lint --fix"):
        environment.read(tmp_path)
