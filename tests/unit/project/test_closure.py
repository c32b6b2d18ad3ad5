import pytest

from headrace.errors import ConfigError
from headrace.project.closure import SourceTree, distribution
from headrace.project.reading import Import


def reached(project, module="pkg.main"):
    found = SourceTree(project).closure([Import(module, project / "dvc.yaml", 1)])
    return {file.relative_to(project.resolve()).as_posix() for file in found.files}, set(found.packages)


def test_imports_are_followed_through_functions_and_relative_paths(write):
    """A stage that imports late depends on what it imports all the same."""
    project = write(
        {
            "src/pkg/main.py": "def run():\n    from .inner import tool\n    from pkg import other\n",
            "src/pkg/inner/tool.py": "import numpy as np\nfrom ..third import name\n",
            "src/pkg/other.py": "import importlib\nimportlib.import_module('pkg.late')\n",
            "src/pkg/third.py": "import sklearn.metrics\n",
            "src/pkg/late.py": "",
            "src/pkg/idle.py": "import torch\n",
        }
    )

    assert reached(project) == (
        {f"src/pkg/{name}.py" for name in ("main", "inner/tool", "other", "third", "late")},
        {"numpy", "scikit-learn"},
    )


def test_imports_for_the_type_checker_do_not_count(write):
    """They do not exist when the stage runs."""
    text = "import typing\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nelse:\n    import numpy\n"
    project = write({"src/pkg/main.py": text + "if typing.TYPE_CHECKING:\n    from pkg import typed\n", "src/pkg/typed.py": ""})

    assert reached(project) == ({"src/pkg/main.py"}, {"numpy"})


def test_a_package_file_counts_when_it_has_code(write):
    """An empty __init__.py in every list of deps is noise; one with code runs with the stage."""
    project = write(
        {
            "src/pkg/__init__.py": '"""Only words."""\n',
            "src/pkg/main.py": "import pkg.room.tool\n",
            "src/pkg/room/__init__.py": "from pkg import extra\n",
            "src/pkg/room/tool.py": "",
            "src/pkg/extra.py": "",
        }
    )

    assert reached(project)[0] == {f"src/pkg/{name}.py" for name in ("main", "room/__init__", "room/tool", "extra")}


def test_exempt_modules_are_walls(reference):
    """What only they import cannot change a result either."""
    stage = reference / "src/headrace/stages/fit.py"
    stage.write_text(stage.read_text() + "from headrace import settings\nimport mlflow\n")

    files, packages = reached(reference, "headrace.stages.fit")

    assert "src/headrace/settings.py" not in files
    assert packages == set()


def test_installed_headrace_is_followed_for_packages_only(write):
    """In a user's project the files of headrace are no deps of DVC, what they import still decides the result."""
    project = write({"src/shop/clean.py": "from headrace.dataset.shards import read_table\n"})
    found = SourceTree(project).closure([Import("shop.clean", project / "dvc.yaml", 1)])

    assert [file.name for file in found.files] == ["clean.py"]
    assert found.uses_installed_headrace
    assert "pyarrow" in found.packages


def test_an_import_that_may_fail_is_known_as_such(write):
    project = write({"src/pkg/main.py": "try:\n    import no_such_package\nexcept ImportError:\n    no_such_package = None\n"})
    found = SourceTree(project).closure([Import("pkg.main", project / "dvc.yaml", 1)])

    assert found.packages["no-such-package"].optional


def test_code_that_does_not_parse_is_named(write):
    project = write({"src/pkg/main.py": "def (:\n"})

    with pytest.raises(ConfigError, match=r"pkg/main\.py is not valid Python"):
        reached(project)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.metrics", "scikit-learn"),
        ("PIL.Image", "pillow"),
        ("ruamel.yaml.YAML", "ruamel-yaml"),
        ("not_installed", "not-installed"),
    ],
)
def test_modules_belong_to_the_distribution_that_holds_them(module, name):
    """Two distributions share the folder ruamel."""
    assert distribution(module) == name
