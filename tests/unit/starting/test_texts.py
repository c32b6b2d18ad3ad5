"""dvc.yaml and params.yaml of a new project, made from the reference project's own."""

import numpy as np
import pytest
from tests.projects import REPOSITORY

from headrace.params import read_yaml
from headrace.project.environment import revisions
from headrace.project.needs import read_stages
from headrace.starting import texts
from headrace.starting.contract import FirstLook
from headrace.starting.measured import Measured
from headrace.starting.texts import judged_changes


def test_the_dag_is_that_of_the_reference_project_with_revisions_for_its_code(tmp_path):
    """A stage that is added here is in the next project that is started."""
    (tmp_path / "dvc.yaml").write_text(texts.dag_text(sorted(revisions())))
    reference = read_stages(read_yaml(REPOSITORY / "dvc.yaml"))
    found = read_stages(read_yaml(tmp_path / "dvc.yaml"))

    assert [(stage.name, stage.command) for stage in found] == [(stage.name, stage.command) for stage in reference]
    for ours, theirs in zip(reference, found, strict=True):
        assert theirs.deps == [dep for dep in ours.deps if not dep.startswith("src/")]
        assert set(theirs.packages) == {*ours.packages, f"headrace.{ours.name}"}
        assert theirs.body.get("outs") == ours.body.get("outs")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("dag", "dvc.yaml"),
        ("model_card.md", "model_card.md"),
        ("train_flow", "pipelines/train.py"),
        ("promote_flow", "pipelines/promote.py"),
        ("recipe_news.yaml", "recipes/news.yaml"),
        ("recipe_mnist.yaml", "recipes/mnist.yaml"),
        ("recipe_diabetes.yaml", "recipes/diabetes.yaml"),
        ("suite_text_classification.yaml", "expectations/text_classification.yaml"),
        ("suite_tabular_regression.yaml", "expectations/tabular_regression.yaml"),
        ("suite_image_classification.yaml", "expectations/image_classification.yaml"),
        ("dvc_config", ".dvc/config"),
        ("dvc_gitignore", ".dvc/.gitignore"),
        ("dvcignore", ".dvcignore"),
        ("gitattributes", ".gitattributes"),
    ],
)
def test_a_new_project_starts_with_what_the_reference_project_has(name, place):
    """One source of truth: a copy that drifts would be found by users only."""
    assert texts.template(name) == (REPOSITORY / place).read_text()


def test_params_keep_the_sections_and_the_comments_of_the_recipe(tmp_path):
    """Their comments are what a newcomer reads first."""
    look = FirstLook(
        rows=40,
        collect={"task": "text_classification", "format": "csv", "options": {"label": "a: b"}, "classes": ["no", "yes"]},
        recipe="news",
        changes={"train.epochs": (3, "40 records"), "train.encoding.max_tokens": (16, "short")},
        rules=[],
        found=[],
    )
    source = {"kind": "files", "name": "x", "paths": ["../my data.csv"]}
    text = texts.params_text("p", look, source=source, model="p")
    (tmp_path / "params.yaml").write_text(text)
    values = read_yaml(tmp_path / "params.yaml")
    recipe = read_yaml(REPOSITORY / "recipes/news.yaml")

    assert list(values) == list(recipe)
    assert values["collect"] == {**look.collect, "sources": [source]}
    assert values["train"] == {**recipe["train"], "epochs": 3, "encoding": {**recipe["train"]["encoding"], "max_tokens": 16}}
    assert values["validate"] == recipe["validate"]
    assert "epochs: 3                  # 40 records" in text
    assert "share of the records that may be quarantined" in text
    assert "\n\nregister:" in text


@pytest.mark.parametrize("records", [180, 500, 2000])
def test_the_first_gate_lets_an_equally_good_model_through(records):
    """The lower bound of the paired interval is judged: chance must not refuse a sound model more than once in 20 times."""
    drawn = np.random.default_rng(1)
    test = records // 5
    measured = Measured(records, {"a": records // 2, "b": records - records // 2}, {}, {"": records}, {})
    margin = judged_changes(measured)["evaluate.max_regression"][0]
    differences = drawn.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(4000, test))
    lower = differences.mean(1) - 1.96 * differences.std(1) / np.sqrt(test)

    assert (lower < -margin).mean() < 0.07
