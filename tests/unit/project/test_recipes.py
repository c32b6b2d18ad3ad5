import shutil
import subprocess

import pytest

from headrace.errors import ParamsError
from headrace.project.recipes import list_recipes, use
from headrace.sources.snapshot import read_lock

COLLECT = """# {title}
collect:
  task: image_classification
  format: pixel_csv
  sources:
    - {{kind: bundled, dataset: {dataset}}}
"""
HTTP = """collect:
  task: t
  format: f
  sources:
    - kind: http
      dataset: x
      files: [{url: "https://example.org/x.csv"}]
"""


@pytest.fixture
def project(write):
    """Two recipes with sources, the first in use and committed."""
    first = COLLECT.format(title="The first.", dataset="digits")
    root = write(
        {
            "params.yaml": first,
            "recipes/first.yaml": first,
            "recipes/second.yaml": "plain: {a: 1}\n",
            "dvc.yaml": "stages:\n  collect:\n    cmd: python -m headrace.stages collect\n",
        }
    )
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_the_recipe_in_use_is_known_by_its_values(project):
    """A comment more or less does not make another recipe."""
    params = project / "params.yaml"
    params.write_text(params.read_text() + "# a note\n")

    assert [(r.name, r.summary, r.is_current) for r in list_recipes(project)] == [
        ("first", "The first.", True),
        ("second", "", False),
    ]


def test_use_copies_the_recipe_and_pins_its_sources(project):
    """Offline: the digests stand in the recipe or with the package."""
    use(project, "second")
    use(project, "first")

    assert (project / "params.yaml").read_bytes() == (project / "recipes/first.yaml").read_bytes()
    assert [file.url for file in read_lock(project / "data/sources.lock").sources[0].files] == ["bundled:digits"]


def test_using_it_twice_writes_the_same_lock(project):
    """Switching back must be a cache hit."""
    use(project, "first")
    before = (project / "data/sources.lock").read_bytes()
    use(project, "second")
    use(project, "first")

    assert (project / "data/sources.lock").read_bytes() == before


def test_edits_are_not_lost(project):
    """An evening's tuning stands nowhere else."""
    edited = "plain: {a: 7}   # tuned\n"
    (project / "params.yaml").write_text(edited)
    with pytest.raises(ParamsError, match="edits that are in no recipe and no commit"):
        use(project, "second")

    assert (project / "params.yaml").read_text() == edited


def test_force_keeps_a_copy(project):
    (project / "params.yaml").write_text("plain: {a: 7}\n")
    message = use(project, "second", force=True)

    (copy,) = (project / ".headrace/backups").iterdir()
    assert copy.read_text() == "plain: {a: 7}\n"
    assert copy.name in message


def test_committed_edits_may_be_replaced(project):
    (project / "params.yaml").write_text("plain: {a: 7}\n")
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "tuned"], cwd=project, check=True)
    use(project, "second")

    assert (project / "params.yaml").read_text() == "plain: {a: 1}\n"


def test_without_git_every_edit_counts(project):
    shutil.rmtree(project / ".git")
    (project / "params.yaml").write_text("plain: {a: 7}\n")

    with pytest.raises(ParamsError, match="--force"):
        use(project, "second")


@pytest.mark.badinput
def test_an_unknown_recipe_gets_a_suggestion(project):
    with pytest.raises(ParamsError, match="Did you mean 'first'"):
        use(project, "frist")


@pytest.mark.badinput
def test_a_wrong_recipe_is_refused_before_anything_is_written(project):
    (project / "recipes/bad.yaml").write_text("collect: {tusk: 1}\n")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(ParamsError, match=r"unknown key 'collect\.tusk'"):
        use(project, "bad")

    assert (project / "params.yaml").read_bytes() == before


def test_sources_that_must_be_asked_are_left_to_refresh(project):
    """Without a digest nothing can be pinned offline; the message names the command."""
    (project / "recipes/far.yaml").write_text(HTTP)

    assert "headrace sources refresh" in use(project, "far")
