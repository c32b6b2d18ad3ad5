"""What holds for every project in examples/."""

import json
import subprocess

import pytest
from tests.projects import REPOSITORY, make_example

EXAMPLES = sorted(path.name for path in (REPOSITORY / "examples").iterdir() if (path / "dvc.yaml").exists())


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_deps_are_honest(name, tmp_path):
    """An installed headrace counts by its keys of environment.json; `headrace lint --fix` in the example mends what differs."""
    project = make_example(name, tmp_path)
    told = project.headrace("lint", "--fix").stdout
    changed = subprocess.run(["git", "status", "--short"], cwd=project.folder, check=True, capture_output=True, text=True).stdout

    assert "agree" in told
    assert changed == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_pins_are_those_of_the_reference_project(name):
    """Tests run it in one environment with the rest."""
    whole, own = (
        json.loads((folder / "environment.json").read_text()) for folder in (REPOSITORY, REPOSITORY / "examples" / name)
    )
    own.pop("headrace")

    assert own == {key: whole[key] for key in own}
