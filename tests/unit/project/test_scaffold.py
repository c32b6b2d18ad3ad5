import os
import subprocess
import sys

import pytest

from headrace.errors import ConfigError, ParamsError
from headrace.params import read_yaml
from headrace.project import lint, schema
from headrace.project.environment import write as write_environment
from headrace.project.scaffold import add_stage, new_stage

DAG = """# my DAG
stages:
  fetch:
    cmd: python fetch.py
    outs:
      - data/raw:
          persist: true   # big
  shout:
    cmd: echo done
"""
LOCK = "headrace==0.1.0\nnumpy==2.4.6\n"


def user_project(write, package):
    """A project of a user, with headrace as an installed package."""
    project = write(
        {
            f"src/{package}/__init__.py": "",
            "dvc.yaml": DAG,
            "params.yaml": "# mine\nother: {a: 1}   # kept\n",
            "recipes/big.yaml": "other: {a: 2}\n",
            "requirements.lock": LOCK,
            ".dvcignore": "\n".join(lint.DVCIGNORE),
        }
    )
    write_environment(project)
    return project


def test_a_new_stage_is_in_all_its_places(write):
    """Module, section, stanza and test, with deps and keys that satisfy the lint."""
    project = user_project(write, "scaffolded_a")
    new_stage(project, "clean", after="fetch")

    stanza = read_yaml(project / "dvc.yaml")["stages"]["clean"]
    assert stanza["cmd"] == (
        "python -m headrace.stages scaffolded_a.stages.clean --raw data/raw --out data/clean.json --report reports/clean.json"
    )
    assert stanza["deps"] == ["data/raw", "src/scaffolded_a/stages/clean.py"]
    assert stanza["params"] == ["clean", {"environment.json": ["headrace"]}]
    assert read_yaml(project / "params.yaml") == {"other": {"a": 1}, "clean": {"suffix": ""}}
    assert read_yaml(project / "recipes/big.yaml") == {"other": {"a": 2}, "clean": {"suffix": ""}}
    assert [str(f) for f in lint.lint(project, sections=False) if "clean" in f.message] == []


def test_the_generated_test_passes(write):
    """It works before it is changed, so that the first failure is the author's own."""
    project = user_project(write, "scaffolded_b")
    new_stage(project, "clean", after="fetch")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_clean.py"]
    ended = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONPATH": "src"}, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stdout


def test_generated_schema_follows(write):
    """Editors know the new section at once."""
    project = user_project(write, "scaffolded_c")
    (project / schema.NAME).write_text("{}")
    (project / "params.yaml").write_text("")
    new_stage(project, "clean", after="fetch")

    assert not schema.is_stale(project, schema.sections(project))


def test_the_comments_of_params_stay(write):
    project = user_project(write, "scaffolded_d")
    new_stage(project, "clean", after="fetch")

    assert (project / "params.yaml").read_text().startswith("# mine\nother: {a: 1}   # kept\n\nclean:\n")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "after", "message"),
    [
        ("Clean", "fetch", "cannot name a stage"),
        ("class", "fetch", "cannot name a stage"),
        ("../up", "fetch", "cannot name a stage"),
        ("fetch", "fetch", "'fetch' is taken"),
        ("other", "fetch", "'other' is taken"),
        ("promote", "fetch", "'promote' is taken"),
        ("clean", "fetsh", "Did you mean 'fetch'"),
    ],
)
def test_wrong_names_are_refused_and_nothing_is_written(write, name, after, message):
    project = user_project(write, "scaffolded_e")
    with pytest.raises(ParamsError, match=message):
        new_stage(project, name, after=after)

    assert (project / "dvc.yaml").read_text() == DAG
    assert not (project / "src/scaffolded_e/stages").exists()


def test_a_stage_without_outputs_cannot_be_followed(write):
    with pytest.raises(ConfigError, match="no outs to read"):
        new_stage(user_project(write, "scaffolded_f"), "clean", after="shout")


def test_a_failure_leaves_the_project_as_it_was(write):
    """Half a stage would break every other command."""
    project = user_project(write, "scaffolded_g")
    (project / schema.NAME).write_text("{}")
    (project / "dvc.yaml").write_text(DAG + "  broken:\n    cmd: python -m headrace.stages no_such_module.broken\n")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"no_such_module\.broken cannot be imported"):
        new_stage(project, "clean", after="fetch")

    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and path.suffix != ".pyc"} == before


def test_two_own_packages_need_a_choice(write):
    project = user_project(write, "scaffolded_h")
    write({"src/another/__init__.py": ""})
    with pytest.raises(ConfigError, match="several packages"):
        new_stage(project, "clean", after="fetch")
    write({"src/another/stages/__init__.py": ""})
    new_stage(project, "clean", after="fetch")

    assert (project / "src/another/stages/clean.py").exists()


SPLIT_DAG = """stages:
  split:
    cmd: python split.py
    outs: [data/splits]
"""


def test_an_optional_stage_is_added_whole(write):
    """Stanza, section and keys; it has no result revision of its own, so it depends on all of them."""
    project = user_project(write, "scaffolded_f")
    (project / "dvc.yaml").write_text(SPLIT_DAG)

    told = add_stage(project, "suspects")

    stages = read_yaml(project / "dvc.yaml")["stages"]
    assert stages["split"] == {"cmd": "python split.py", "outs": ["data/splits"]}
    assert stages["suspects"]["cmd"].startswith("python -m headrace.stages headrace.labels.suspects --splits data/splits --out ")
    assert stages["suspects"]["deps"] == ["data/splits"]
    assert stages["suspects"]["params"] == ["suspects", {"environment.json": ["headrace", "numpy"]}]
    for name in ("params.yaml", "recipes/big.yaml"):
        assert read_yaml(project / name)["suspects"]["folds"] == 5
    assert told == ["dvc.yaml", "params.yaml", "recipes/big.yaml", "Now: headrace run --stage suspects"]
    assert [str(f) for f in lint.lint(project, sections=False) if "suspects" in f.message and f.rule != "packages"] == []
    with pytest.raises(ParamsError, match="taken"):
        add_stage(project, "suspects")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "error", "told"),
    [("suspect", ParamsError, "Did you mean 'suspects'"), ("suspects", ConfigError, "no stage 'split'")],
)
def test_an_optional_stage_that_cannot_be_added_changes_nothing(write, name, error, told):
    """A half of a stage stops every later command."""
    project = user_project(write, "scaffolded_g")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    with pytest.raises(error, match=told):
        add_stage(project, name)

    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
