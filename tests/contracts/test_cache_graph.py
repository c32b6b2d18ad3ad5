"""The import graph is the cache graph: what cannot change a result reruns nothing."""

import re
from pathlib import Path

import pytest
from tests.projects import REPOSITORY

from headrace import plugins
from headrace.dagfile import read_stanzas
from headrace.params import read_yaml
from headrace.project import environment
from headrace.project.needs import read_stages

HARMLESS = {
    "a network that is not in use": "src/headrace/networks/mlp.py",
    "a source kind that is not in use": "src/headrace/sources/http.py",
    "a source kind that asks a bucket": "src/headrace/sources/s3.py",
    "a source kind that asks a database": "src/headrace/sources/sql.py",
    "what sources may say": "src/headrace/sources/spec.py",
    "where weights to start from may lie": "src/headrace/sources/initial.py",
    "which version of a model is meant": "src/headrace/registry/weights.py",
    "tracking": "src/headrace/tracking/runs.py",
    "the registry": "src/headrace/registry/versions.py",
    "settings": "src/headrace/settings.py",
    "the stage runner": "src/headrace/stages/_runner.py",
    "the flow": "src/headrace/flow/run.py",
    "the command line": "src/headrace/cli/models.py",
    "a format that is not in use": "src/headrace/formats/idx.py",
    "the report page": "src/headrace/evaluation/report.py",
    **{
        f"another task's part in {room}": f"src/headrace/{room}/text_classification.py"
        for room in ("tasks", "intake", "augmentation", "baselines", "training")
    },
    "another task's suite": "expectations/text_classification.yaml",
    **{
        f"the trainer {name}": f"src/headrace/trainers/{name}.py"
        for name in plugins.names("trainers")
        if name not in {"network", "contract"}
    },
    "a network of another task": "src/headrace/networks/transformer.py",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_no_stage_depends_on(what: str) -> None:
    """An edit to it reruns no stage of the default recipe."""
    file = Path(HARMLESS[what])
    assert (REPOSITORY / file).exists()

    touched = [
        stanza.name
        for stanza in read_stanzas(REPOSITORY).values()
        if any(file == Path(dep) or Path(dep) in file.parents for dep in stanza.deps)
    ]

    assert touched == []


PIXELS_AT_REST = {"split", "augment", "train", "baseline", "evaluate", "package"}
"""Stages that read what `collect` has decoded and `validate` has let through."""


@pytest.mark.parametrize("room", ["formats", "intake", "sources", "validation"])
def test_only_the_first_stages_depend_on_how_records_come_in(room: str) -> None:
    """A decoder that reads one more kind of file changes rows, if anything; equal rows retrain nothing."""
    stanzas = read_stanzas(REPOSITORY)
    touched = {name for name in PIXELS_AT_REST for dep in stanzas[name].deps if dep.startswith(f"src/headrace/{room}/")}

    assert touched == set()


def test_decoders_and_engines_do_not_retrain() -> None:
    """A new Pillow decodes again (docs/decisions/0003); a new Great Expectations judges again. Neither touches the weights."""
    packages = {stage.name: set(stage.packages) for stage in read_stages(read_yaml(REPOSITORY / "dvc.yaml"))}
    trainers = environment.read(REPOSITORY)["trainers"]

    assert packages["train"] <= {"tokenizers"}  # the others are those of the trainer in use
    assert trainers["network"].keys() == {"numpy", "pyarrow", "safetensors", "torch"}
    assert [name for name, found in trainers.items() if "torch" in found] == ["network", "pretrained"]
    # What only a pretrained network needs is no input of any other's stages.
    assert [name for name, found in trainers.items() if "transformers" in found] == ["pretrained"]
    networks = environment.read(REPOSITORY)["networks"]
    assert [name for name, found in networks.items() if "transformers" in found] == ["pretrained"]
    assert not any("transformers" in found for found in packages.values())
    # augment draws its contact sheet with Pillow, and is the one other stage that a new one reruns.
    assert {name for name, found in packages.items() if "pillow" in found} == {"collect", "augment"}
    assert {name for name, found in packages.items() if "great-expectations" in found} == {"validate"}


@pytest.mark.parametrize("room", ["intake", "augmentation", "baselines", "training"])
def test_every_task_has_its_part_under_its_own_name(room: str) -> None:
    """Each stage finds the part it needs by the same word in params.yaml."""
    tasks = set(plugins.names("tasks")) - {"contract"}

    assert tasks <= set(plugins.names(room))
    assert all((REPOSITORY / "expectations" / f"{task}.yaml").exists() for task in tasks)


def test_nothing_outside_of_its_parts_knows_a_task() -> None:
    """No `if task ==` in pipeline, flow, registry, report or command line; names of tasks stand in files named after them."""
    tasks = set(plugins.names("tasks")) - {"contract"}
    found = [
        f"{path.relative_to(REPOSITORY)}: {task}"
        for folder in ("src/headrace", "pipelines")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for task in tasks
        if path.stem != task and re.search(rf"[=!]= *[\"\']{task}", path.read_text(encoding="utf-8"))
    ]

    assert found == []
