"""Facts of a run, read from the project's files."""

import subprocess

import pytest

from headrace.settings import Settings
from headrace.tracking.live import changes, gather_facts, store_of


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 3\n")
    (tmp_path / "code.py").write_text("a = 1\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    cmd: x\n    deps: [data/splits, src/a.py]\n")
    old = "train:\n    deps:\n    - path: data/splits\n      md5: old.dir\n"
    (tmp_path / "dvc.lock").write_text(f"stages:\n  split:\n    outs:\n    - path: data/splits\n      md5: new.dir\n  {old}")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_inputs_are_those_the_stage_reads_now(project):
    """While a stage works, its own entry in dvc.lock is that of the run before."""
    (fact,) = gather_facts(Settings(project=project, home=project / "home")).inputs

    assert (fact.name, fact.digest) == ("data/splits", "new.dir")


def test_new_params_do_not_make_a_workspace_dirty(project):
    """params.yaml and dvc.lock are recorded with the run; only other changes need the diff."""
    (project / "params.yaml").write_text("train:\n  epochs: 4\n")

    assert changes(project) == ""

    (project / "code.py").write_text("a = 2\n")

    assert "+a = 2" in changes(project)


def test_facts_come_from_the_project(project):
    """A run can be reproduced from what it says."""
    facts = gather_facts(Settings(project=project, home=project / "home"))

    assert facts.params == {"train": {"epochs": 3}}
    assert len(facts.commit) == 40
    assert not facts.is_dirty


def test_only_a_database_file_gets_an_artifact_folder(project):
    """A server decides itself where artifacts go."""
    local = store_of(Settings(project=project, home=project / "home", mlflow_tracking_uri=None))
    served = store_of(Settings(project=project, home=project / "home", mlflow_tracking_uri="http://h:5000"))

    assert local.artifact_location == (project / "home" / "mlartifacts").as_uri()
    assert served.artifact_location is None
