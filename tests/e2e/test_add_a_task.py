"""docs/how-to/add-a-task.md, followed to the letter: every file and command of the page is taken from the page."""

import json
import re
from pathlib import Path

import pytest
from tests.projects import REPOSITORY, Checkout

from headrace.params import read_yaml

PAGE = (REPOSITORY / "docs/how-to/add-a-task.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Checkout:
    """A project that `headrace init` made for texts."""
    top = tmp_path_factory.mktemp("task")
    rows = "".join(f"the {word} of day {n},{kind}\n" for n in range(20) for word, kind in (("sun", "fair"), ("rain", "foul")))
    (top / "notes.csv").write_text(f"note,kind\n{rows}")
    outside = Checkout(top, top / "home", {"PREFECT_API_URL": prefect_server})
    outside.headrace("init", "lab", "--task", "text-classification", "--data", "notes.csv", "--text", "note", "--label", "kind")
    return Checkout(top / "lab", top / "home", outside.variables)


def files() -> dict[str, str]:
    """Files of the page: a path at the end of a line, then the code."""
    return dict(re.findall(r"`((?:src|expectations)/[^`]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))


def sections() -> dict[str, str]:
    """Sections of params.yaml on the page, each as it stands there."""
    (block,) = re.findall(r"Replace these sections of `params.yaml`:\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    return {text.partition(":")[0]: text for text in re.split(r"(?m)^(?=[a-z]+:)", block) if text.strip()}


def commands() -> list[list[str]]:
    """What the page types under its last step."""
    step = PAGE[PAGE.index("## 6. Run") :]
    return [line.split() for line in re.findall(r"(?m)^    (headrace .*)$", step.partition("\n## ")[0])]


def replace_sections(path: Path, new: dict[str, str]) -> None:
    old = re.split(r"(?m)^(?=[a-z]+:)", path.read_text())
    path.write_text("".join(new.get(text.partition(":")[0], text) for text in old))


def test_the_files_of_a_new_task_change_nothing_for_the_present_one(lab: Checkout) -> None:
    """No stage depends on them before params.yaml names them, so none runs again."""
    for name, text in files().items():
        (lab.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (lab.folder / name).write_text(text)
    before = (lab.folder / "dvc.yaml").read_text()

    assert len(files()) == 4
    assert "agree" in lab.headrace("lint", "--fix").stdout
    assert (lab.folder / "dvc.yaml").read_text() == before


def test_the_page_ends_with_a_registered_model_of_the_new_task(lab: Checkout) -> None:
    """Collect, validate, split, baselines, training, gate, package, registry and report know nothing of spectra."""
    replace_sections(lab.folder / "params.yaml", sections())
    for command in commands():
        told = lab.run(*command).stdout
    evaluated = json.loads((lab.folder / "reports/evaluate.json").read_text())
    deps = {name: stage["deps"] for name, stage in read_yaml(lab.folder / "dvc.yaml")["stages"].items()}
    using = {name for name, listed in deps.items() if "src/lab/spectra.py" in listed}

    assert commands()[-1] == ["headrace", "run"]
    assert "done in" in told
    assert evaluated["verdict"]["allowed"] is True
    assert using == {"collect", "split", "augment", "baseline", "train", "package"}
    assert "src/lab/layers.py" in deps["train"]
    assert "cells version 1" in lab.headrace("trace", "cells@champion").stdout


def test_its_package_answers_raw_records(lab: Checkout) -> None:
    """What is served is what was measured."""
    code = (
        "import json, pathlib, numpy, sys; sys.path.insert(0, 'src'); from headrace.training.predictor import load_predictor;"
        "example = json.loads(pathlib.Path('models/package/input_example.json').read_text());"
        "found = load_predictor(pathlib.Path('models/package'))(numpy.array(example['inputs'], numpy.float32));"
        "print(float(abs(found - numpy.array(example['outputs'])).max()))"
    )

    assert float(lab.run("python", "-c", code).stdout) <= 1e-5
