import json

import pytest

from headrace.params import read_yaml
from headrace.project import environment, lint


def findings(project):
    return [str(finding) for finding in lint.lint(project, sections=False)]


def append(path, text):
    path.write_text(path.read_text() + text)


def mend(project):
    """With sections=False: the synthetic stage modules are not importable."""
    lint.lint(project, fix=True, sections=False)
    return read_yaml(project / "dvc.yaml")["stages"]["fit"]


def test_an_honest_project_has_no_findings(reference):
    assert findings(reference) == []


def test_a_first_party_import_without_dep_is_named_with_its_line_and_mended(reference):
    """DVC does not follow imports: the stage would not rerun when that file changes."""
    append(reference / "src/headrace/training/loop.py", "\n\ndef late():\n    import headrace.training.schedule\n")
    (reference / "src/headrace/training/schedule.py").write_text("")

    start = "src/headrace/training/loop.py:8: deps: stage 'fit' imports headrace.training.schedule, which is not among its deps."
    assert findings(reference) == [f"{start} Add `src/headrace/training/schedule.py`."]

    assert "src/headrace/training/schedule.py" in mend(reference)["deps"]
    assert findings(reference) == []


def test_a_package_without_environment_key_is_named_with_its_line_and_mended(reference):
    """A new version of it would not rerun the stage."""
    append(reference / "src/headrace/stages/fit.py", "import sklearn.metrics\n")

    start = "src/headrace/stages/fit.py:3: packages: stage 'fit' imports sklearn.metrics, and 'scikit-learn' is not among its"
    assert findings(reference) == [f"{start} environment.json keys. Add `scikit-learn`."]

    assert mend(reference)["params"] == ["fit", {"environment.json": ["scikit-learn", "torch"]}]
    assert findings(reference) == []


def test_a_package_outside_the_lock_is_no_key(reference):
    """Nothing says which version of it made the result; the lock comes first."""
    append(reference / "src/headrace/stages/fit.py", "import left_pad\ntry:\n    import maybe\nexcept ImportError:\n    pass\n")

    assert [f for f in findings(reference) if "maybe" in f] == []
    assert "Add 'left-pad' to the lock." in findings(reference)[0]


def test_idle_deps_and_keys_are_removed_and_comments_stay(reference):
    """An idle import costs a training."""
    dag = reference / "dvc.yaml"
    (reference / "src/headrace/idle.py").write_text("")
    text = (
        dag.read_text()
        .replace("      - data/in\n", "      - data/in\n      - src/headrace/idle.py\n")
        .replace("[torch]", "[numpy, torch]")
    )
    before = dag.read_text()
    dag.write_text(text)

    assert [line.split(": ")[1] for line in findings(reference)] == ["idle", "packages"]

    mend(reference)
    assert dag.read_text() == before


def test_an_honest_project_is_left_as_it_is(reference):
    """Order and layout are the author's as long as nothing is missing."""
    dag = reference / "dvc.yaml"
    dag.write_text(
        dag.read_text()
        .replace("      - data/in\n", "")
        .replace("loop.py  # the story\n", "loop.py  # the story\n      - data/in\n")
    )
    before = dag.read_text()
    mend(reference)

    assert dag.read_text() == before


def test_what_a_module_found_by_name_names_in_turn_is_a_dep(reference):
    """A task says which program trains it, in a constant; nothing in params.yaml does."""
    network = reference / "src/headrace/networks/dense.py"
    network.write_text("import torch\nPROGRAM = 'classifier'\n")
    (reference / "src/headrace/training/classifier.py").write_text("")
    stage = reference / "src/headrace/stages/fit.py"
    append(stage, "from headrace.plugins import resolve\nresolve('training', task.PROGRAM, None, where='PROGRAM of the task')\n")

    assert [line.split("Add ")[1] for line in findings(reference)] == ["`src/headrace/training/classifier.py`."]


def test_a_template_beside_the_module_is_a_dep(reference):
    """Its text ends in an output as surely as the code does."""
    (reference / "src/headrace/training/pages").mkdir()
    (reference / "src/headrace/training/pages/card.md").write_text("# {{ name }}")
    append(reference / "src/headrace/training/loop.py", "\nCARD = Path(__file__).parent / 'pages' / 'card.md'\n")

    assert [line.split("Add ")[1] for line in findings(reference)] == ["`src/headrace/training/pages`."]


def test_a_lookup_that_nothing_explains_is_named(reference):
    append(
        reference / "src/headrace/stages/fit.py",
        "from headrace.plugins import resolve\nresolve('losses', name, None, where='x')\n",
    )

    assert "takes a module of losses by a name that stands in no params file" in findings(reference)[0]


def test_a_room_that_is_not_spelled_out_is_named(reference):
    """The lint reads the source: a room in a variable would hide every module that is found in it."""
    loop = reference / "src/headrace/training/loop.py"
    loop.write_text(loop.read_text().replace("'networks'", "room"))

    assert findings(reference)[0].startswith(
        "src/headrace/training/loop.py:4: deps: stage 'fit' imports by a name in a room that"
    )


def test_an_import_by_a_computed_name_is_named(reference):
    """It goes around the one door that the lint can follow."""
    append(reference / "src/headrace/stages/fit.py", "import importlib\nimportlib.import_module(name)\n")

    assert "does not spell out" in findings(reference)[0]


def test_a_folder_is_a_dep_only_when_all_of_it_matters(reference):
    """Adding a network must rerun nothing."""
    dag = reference / "dvc.yaml"
    dag.write_text(dag.read_text().replace("src/headrace/networks/${fit.network}.py", "src/headrace/networks"))

    assert [line.split(": ", 3)[3] for line in findings(reference)] == [
        "the stage does not use deep.py, layers.py in it. List the files it uses. Remove it."
    ]

    assert "src/headrace/networks/${fit.network}.py" in mend(reference)["deps"]


def test_a_module_in_use_by_name_needs_its_own_imports(reference):
    """The template covers the network's file; what the network imports is code of the stage too."""
    (reference / "params.yaml").write_text("fit:\n  network: deep\n")

    assert [line.split("Add ")[1] for line in findings(reference)] == ["`src/headrace/networks/layers.py`.", "`numpy`."]


def test_recipes_count_as_params_do(reference):
    """dvc.yaml is one for all recipes: switching must not make its deps dishonest."""
    (reference / "recipes").mkdir()
    (reference / "recipes/big.yaml").write_text("fit:\n  network: deep\n")
    mend(reference)

    assert findings(reference) == []
    assert "src/headrace/networks/layers.py" in read_yaml(reference / "dvc.yaml")["stages"]["fit"]["deps"]


def test_a_templated_dep_is_added_for_a_lookup(reference):
    dag = reference / "dvc.yaml"
    dag.write_text(
        dag.read_text().replace("      # the one network in use\n      - src/headrace/networks/${fit.network}.py\n", "")
    )

    assert "src/headrace/networks/${fit.network}.py" in mend(reference)["deps"]


def test_a_name_of_ones_own_takes_the_place_of_the_template(reference):
    """DVC looks for every dep: `networks/own.net:build.py` is a file that nobody can have."""
    (reference / "src/own").mkdir()
    (reference / "src/own/__init__.py").write_text("")
    (reference / "src/own/net.py").write_text("import torch\n")
    (reference / "recipes").mkdir()
    (reference / "recipes/usual.yaml").write_text("fit:\n  network: dense\n")
    (reference / "params.yaml").write_text("fit:\n  network: own.net:build\n")
    deps = mend(reference)["deps"]

    assert {"src/own/net.py", "src/headrace/networks/dense.py"} <= set(deps)
    assert not any("${" in dep for dep in deps)
    assert findings(reference) == []


def test_a_colon_alone_makes_no_code(reference):
    (reference / "params.yaml").write_text("fit:\n  network: dense\n  note: bundled:digits\n")

    assert findings(reference) == []


def test_own_code_named_in_params_is_a_dep(reference):
    """`module:function` from the user's src/ is code of the stage."""
    (reference / "src/own").mkdir()
    (reference / "src/own/nets.py").write_text("import numpy\n")
    (reference / "params.yaml").write_text("fit:\n  network: own.nets:build\n")
    dag = reference / "dvc.yaml"
    dag.write_text(dag.read_text().replace("src/headrace/networks/${fit.network}.py", "src/own/other.py"))

    fixed = mend(reference)

    assert "src/own/nets.py" in fixed["deps"]
    assert "src/own/other.py" not in fixed["deps"]
    assert fixed["params"][1]["environment.json"] == ["numpy"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("stages fit", "stages fitt", "stage 'fit' runs headrace.stages.fitt"),
        (" --report reports/fit.json", "", "writes no report"),
        ("metrics: [reports/fit.json]", "metrics: []", "does not list its report"),
        ("[fit, env", "[env", "does not list its params"),
    ],
)
def test_one_name_in_four_places(reference, before, after, message):
    dag = reference / "dvc.yaml"
    dag.write_text(dag.read_text().replace(before, after))

    assert any(message in finding for finding in findings(reference))


def test_a_recipe_without_the_section_is_named(reference):
    (reference / "recipes").mkdir()
    (reference / "recipes/half.yaml").write_text("other: {}\n")

    assert "recipes/half.yaml:1: name: there is no section 'fit' for the stage. Add `fit:` with its params." in findings(
        reference
    )


def test_environment_and_ignores_are_mended(reference):
    """environment.json follows the lock; .dvcignore keeps folders' hashes quiet."""
    (reference / "environment.json").write_text("{}")
    (reference / ".dvcignore").write_text("# mine\n*.tmp\n")

    assert {line.split(": ")[1] for line in findings(reference)} == {"environment", "ignore"}

    mend(reference)
    assert findings(reference) == []
    assert (reference / ".dvcignore").read_text().startswith("# mine\n*.tmp\n__pycache__\n")
    assert environment.read(reference)["torch"] == "2.13.0"


def test_a_users_stage_of_headrace_has_its_result_revision_as_key(write):
    """The package's files are not in the project; its revision stands for them."""
    project = write(
        {
            "params.yaml": "augment: {}\n",
            "requirements.lock": "headrace==1.0\n",
            ".dvcignore": "__pycache__\n*.swp\n.DS_Store\n.ipynb_checkpoints\n",
            "dvc.yaml": "stages:\n  augment:\n    cmd: python -m headrace.stages augment --report reports/augment.json\n"
            "    metrics: [reports/augment.json]\n",
        }
    )
    lint.lint(project, fix=True, sections=False)

    assert read_yaml(project / "dvc.yaml")["stages"]["augment"]["params"] == [
        "augment",
        {"environment.json": ["headrace.augment"]},
    ]


def test_unknown_keys_and_sections_of_params_get_a_suggestion(write):
    project = write(
        {
            "src/lintshop/stages/clean.py": "from headrace.params import Section\n\nclass Params(Section):\n    rows: int = 1\n",
            "params.yaml": "clean:\n  row: 2\nclaen: {}\n",
            "dvc.yaml": "stages:\n  clean:\n    cmd: python -m headrace.stages lintshop.stages.clean\n",
        }
    )
    messages = [finding.message for finding in lint.lint(project) if finding.rule == "params"]

    assert messages == [
        "unknown key 'clean.row'. Did you mean 'rows'?",
        "section 'claen' belongs to no stage or flow. Did you mean 'clean'?",
    ]


def test_a_script_is_a_stage_too(write):
    """A trainer is anything that writes a model folder: its imports are read as well."""
    project = write(
        {
            "trainer/fit.py": "import numpy\nimport tools\n",
            "src/tools.py": "",
            "params.yaml": "fit: {}\n",
            "requirements.lock": "numpy==2.4.6\n",
            "dvc.yaml": "stages:\n  fit:\n    cmd: python trainer/fit.py\n    deps: [trainer/fit.py]\n    params: [fit]\n",
        }
    )

    assert [line.split("Add ")[1] for line in findings(project) if ": deps:" in line or ": packages:" in line] == [
        "`numpy`.",
        "`src/tools.py`.",
    ]


def test_findings_are_readable_by_machines(reference):
    (reference / ".dvcignore").write_text("")

    assert json.loads(lint.to_json(lint.lint(reference, sections=False)))[0]["rule"] == "ignore"
