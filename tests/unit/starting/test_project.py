"""`headrace init`: what it refuses, and that it leaves nothing half made."""

import os
import subprocess
from pathlib import Path

import pytest

from headrace.dagfile import read_stanzas
from headrace.errors import ConfigError, DataError, FormatError, HeadraceError, ParamsError
from headrace.starting import project
from headrace.starting.project import Wish, slug, start, start_names

GOOD = "id,body,stars\n" + "".join(f"{n},the film number {n} was fine,{'good' if n % 2 else 'bad'}\n" for n in range(60))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(GOOD)
    return path


def wish(data: Path, folder: str = "new", **options: str | None) -> Wish:
    given = {"task": "text-classification", "text": "body", "label": "stars", **options}
    return Wish(data.parent / folder, given.pop("task") or "", data, **given)


def refused(told: Wish, kind: type[HeadraceError]) -> str:
    """The message; nothing is left beside the data."""
    before = sorted(told.folder.parent.iterdir())
    with pytest.raises(kind) as caught:
        start(told)

    assert sorted(told.folder.parent.iterdir()) == before
    return str(caught.value)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "options", "kind", "message"),
    [
        (GOOD, {"text": "bdy"}, ParamsError, "Did you mean 'body'?"),
        (GOOD, {"text": None}, ParamsError, "Likely: --text body"),
        (GOOD, {"label": "id"}, DataError, "a value of its own in each of its 60 rows"),
        (GOOD, {"label": "body"}, ParamsError, "--text and --label are both 'body'"),
        (GOOD, {"text": "id"}, ParamsError, "holds no text"),
        (GOOD, {"task": "text-clasification"}, ParamsError, "Did you mean 'text-classification'?"),
        (GOOD, {"task": "image-classification", "text": None, "label": None}, ParamsError, "is a table"),
        (GOOD.replace("good", "bad"), {}, DataError, "a classifier needs two classes"),
        ("", {}, FormatError, "is empty"),
        ("id,body,stars\n", {}, FormatError, "no row below its header"),
        ("body,stars\nfine,good,now\n", {}, FormatError, "found 3, the header has 2"),
        ("body,body,stars\na,b,c\n", {}, FormatError, "two columns named 'body'"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused_and_nothing_is_left(data, content, options, kind, message):
    """A project that cannot run is worse than none."""
    data.write_text(content)

    assert message in refused(wish(data, **options), kind)


@pytest.mark.badinput
def test_another_encoding_is_named_with_what_to_type(data):
    data.write_bytes(GOOD.replace("fine", "café").encode("latin-1"))

    assert "--encoding" in refused(wish(data), FormatError)


@pytest.mark.badinput
def test_a_file_that_is_not_there_is_answered_with_the_nearest(data):
    assert "Did you mean 'reviews.csv'?" in refused(wish(data.with_name("reviws.csv")), ParamsError)


def test_a_folder_that_holds_something_is_left_as_it_is(data):
    """The one mistake that could cost somebody's work."""
    (data.parent / "new").mkdir()
    (data.parent / "new" / "thesis.tex").write_text("years")

    assert "is not empty: nothing was written" in refused(wish(data), ConfigError)
    assert (data.parent / "new" / "thesis.tex").read_text() == "years"


def test_a_project_inside_of_a_repository_is_refused(data):
    subprocess.run(["git", "init", "-q"], cwd=data.parent, check=True)

    assert "a repository of its own" in refused(wish(data), ConfigError)


def test_what_a_killed_init_left_is_removed_by_the_next(data, monkeypatch):
    """Kill -9 leaves no time to tidy up; the target's own name was never taken."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = data.parent / f".new{project.MARK}-{ended.pid}"
    at_work = data.parent / f".new{project.MARK}-{os.getppid()}"
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "params.yaml").write_text("")
    monkeypatch.setattr(project, "_source", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(wish(data))

    assert not left.exists()
    assert at_work.exists()
    assert not (data.parent / "new").exists()
    assert not (data.parent / f".new{project.MARK}-{os.getpid()}").exists()


def _interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_names_become_names_of_packages_and_models():
    assert [slug(text) for text in ("My Reviews 2", "Größe", "a__b", "数据")] == ["my-reviews-2", "gre", "a-b", "data"]


def test_every_task_that_can_be_started_is_in_the_help():
    """The help is a text, because the command line stays light."""
    from headrace.cli.project import STARTS

    assert start_names() == sorted(STARTS)


def test_every_file_that_a_stage_of_a_new_project_reads_is_there(data):
    """DVC runs nothing when a dependency is missing that no stage makes."""
    made = wish(data)
    start(made)
    stanzas = read_stanzas(made.folder).values()
    outs = {out for stanza in stanzas for out in stanza.outs}
    inputs = {
        dep for stanza in stanzas for dep in stanza.deps if not any(dep == out or dep.startswith(f"{out}/") for out in outs)
    }

    assert "expectations/accepted.json" in inputs
    assert {dep for dep in inputs if not (made.folder / dep).exists()} == set()
