"""The runner of every stage: what it refuses to let DVC record."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STAGE = '''
"""A stage of a project of its own."""

from pathlib import Path

from headrace.params import Out, Report, Section


class Params(Section):
    value: int = 1


class GrowReport(Report):
    value: int


def run(params: Params, *, seen: Path, out: Out) -> GrowReport:
    text = seen.read_text()
    if text.startswith("edit "):
        Path(text.split()[1]).write_text(text.split(maxsplit=2)[2])  # what a person does in an editor meanwhile
    out.write_text(str(params.value))
    return GrowReport(value=params.value)
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "grow.py").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("grow: {value: 1}\nother: {value: 1}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  grow:\n    cmd: python -m headrace.stages own.grow --seen seen.txt --out out.txt\n"
        "    deps: [seen.txt, own/grow.py]\n    params: [grow]\n    outs: [out.txt]\n"
    )
    return tmp_path


def grow(project: Path, seen: str) -> subprocess.CompletedProcess[str]:
    (project / "seen.txt").write_text(seen)
    return subprocess.run(
        [sys.executable, "-m", "headrace.stages", "own.grow", "--seen", "seen.txt", "--out", "out.txt"],
        cwd=project,
        env={**os.environ, "HEADRACE_PROJECT": str(project), "HEADRACE_HOME": str(project / "home")},
        capture_output=True,
        text=True,
    )


def test_an_edit_elsewhere_disturbs_nothing(project: Path) -> None:
    """Params of another stage may be changed while this one runs."""
    done = grow(project, "edit params.yaml grow: {value: 1}\nother: {value: 2}\n")

    assert done.returncode == 0, done.stderr
    assert (project / "out.txt").read_text() == "1"


def test_a_stage_that_ends_beside_it_disturbs_nothing(project: Path) -> None:
    """DVC writes dvc.lock anew for each stage that ends; what this one has read is not changed by that."""
    (project / "dvc.lock").write_text("stages: {first: {outs: [{path: seen.txt, md5: '1'}]}}\n")

    done = grow(project, "edit dvc.lock stages: {}\n")

    assert done.returncode == 0, done.stderr


@pytest.mark.badinput
@pytest.mark.parametrize("edit", ["edit params.yaml grow: {value: 5}\n", "edit own/grow.py value = 1\n", "edit seen.txt other\n"])
def test_an_edit_of_what_the_stage_depends_on_is_refused(project: Path, edit: str) -> None:
    """DVC hashes params and files when a stage has ended: it would record the new ones as what made the old outputs."""
    done = grow(project, edit)

    assert done.returncode != 0
    assert "was edited while it ran" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "out.txt").exists()


def test_a_path_that_came_later_may_be_left_out(project: Path) -> None:
    """A dvc.yaml of before it keeps working with the new package."""
    text = STAGE.replace("out: Out)", "out: Out, more: Out | None = None, other: Path | None = None)").replace(
        "    text = seen", "    assert more is None\n    assert other is None\n    text = seen"
    )
    (project / "own" / "grow.py").write_text(text)
    done = grow(project, "nothing")

    assert done.returncode == 0, done.stderr
    assert (project / "out.txt").read_text() == "1"
