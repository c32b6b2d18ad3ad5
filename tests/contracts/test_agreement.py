"""The files of the reference project say the same: dvc.yaml, params.yaml, recipes, stages, lock, generated pages."""

import ast
import json
from pathlib import Path

import pytest
import typer.main
from tests.recipes import CUTS

from headrace.params import parse_section, read_yaml
from headrace.project import environment, lint, reference, schema
from headrace.project.closure import EXEMPT_MODULES, EXEMPT_PACKAGES, SourceTree
from headrace.project.needs import read_stages

PROJECT = Path(__file__).resolve().parents[2]
RECIPES = sorted((PROJECT / "recipes").glob("*.yaml"))


def test_the_lint_finds_nothing():
    """A stage that does not list what it imports keeps stale results."""
    assert [str(finding) for finding in lint.lint(PROJECT)] == []


def test_every_stage_of_the_package_is_in_the_dag():
    stages = {path.stem for path in (PROJECT / "src/headrace/stages").glob("[a-z]*.py")}

    assert {stage.name for stage in read_stages(read_yaml(PROJECT / "dvc.yaml")) if stage.runner_module} >= stages


def test_the_default_recipe_is_what_params_holds():
    """Switching back to `digits` must be a cache hit."""
    assert read_yaml(PROJECT / "recipes/digits.yaml") == read_yaml(PROJECT / "params.yaml")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_complete(recipe):
    """Using one is a copy: a section it lacks would stop the run half way."""
    values = read_yaml(recipe)
    typed = schema.sections(PROJECT)

    assert set(values) == set(typed)
    for name, section in typed.items():
        parse_section(values[name] or {}, name, section, where=recipe.name)


def test_every_recipe_has_a_cut_of_its_data():
    """tests/e2e/test_recipes.py runs each, whole, in seconds: a new recipe needs a line in `CUTS` of tests/recipes.py."""
    assert {recipe.stem for recipe in RECIPES} - set(CUTS) == set()


@pytest.mark.parametrize("page", ["params.md", "options.md", "commands.md", "exit-codes.md"])
def test_generated_pages_are_current(page):
    """`make docs` writes them."""
    from headrace.cli.main import app

    wanted = reference.pages(PROJECT, typer.main.get_command(app))[f"{reference.FOLDER}/{page}"]

    assert (PROJECT / reference.FOLDER / page).read_text(encoding="utf-8") == wanted


def test_environment_json_follows_the_lock():
    found = json.loads((PROJECT / environment.NAME).read_text())

    assert {name: pin for name, pin in found.items() if isinstance(pin, str)} == environment.generate(PROJECT / environment.LOCK)


def test_every_package_has_one_version_on_all_platforms():
    """A lock entry made on one Python must hold on another."""
    assert {name: pin for name, pin in environment.read(PROJECT).items() if "|" in str(pin)} == {}


def test_the_lock_leaves_torch_to_the_machine():
    """Its CPU and CUDA builds are one version with different bytes, and bring different packages of their own."""
    lock = (PROJECT / environment.LOCK).read_text().splitlines()
    after = [lock[number + 1] for number, line in enumerate(lock) if line.startswith("torch==")]

    assert len(after) == 1
    assert not after[0].startswith(" ")
    assert not any(line.startswith(("nvidia-", "triton")) for line in lock)


def test_exemptions_exist_and_have_reasons():
    """The one list of code that no stage depends on stays short and true."""
    tree = SourceTree(PROJECT)
    missing = [module for module in EXEMPT_MODULES if not tree.find(module) and not tree.find(f"{module}.__init__")]

    assert missing == []
    assert all(EXEMPT_MODULES.values())
    assert all(EXEMPT_PACKAGES.values())
    assert len(EXEMPT_MODULES) + len(EXEMPT_PACKAGES) <= 12


@pytest.mark.parametrize("stage", sorted((PROJECT / "src/headrace/stages").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_stage_module_is_params_and_run(stage):
    """A stage loads, calls the library, saves and reports; it knows no other stage and no flow."""
    tree = ast.parse(stage.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert {"Params", "run"} <= names
    assert not [module for module in modules if module.startswith(("headrace.stages", "headrace.flow"))]
