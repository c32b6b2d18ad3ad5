"""Rooms: one vendor each, no drawers, no dangerous calls, a light command line."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CODE = sorted([*(PROJECT / "src").rglob("*.py"), *(PROJECT / "pipelines").rglob("*.py")])
INFRA = sorted((PROJECT / "infra").rglob("*.py"))

VENDOR_ROOMS = {
    "prefect": ("src/headrace/flow/", "pipelines/"),
    "dvc": ("src/headrace/flow/dag.py",),
    "great_expectations": ("src/headrace/validation/",),
    "mlflow": ("src/headrace/tracking/", "src/headrace/registry/"),
    "boto3": ("src/headrace/storage/s3_connection.py",),
    "botocore": ("src/headrace/storage/s3.py", "src/headrace/storage/s3_connection.py"),
    "fastapi": ("src/headrace/serving/app.py",),
    "litserve": ("src/headrace/serving/app.py",),
    "starlette": ("src/headrace/serving/app.py",),
}

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}

BANNED_CALLS = {
    "pickle.load": "runs code from the file; weights are safetensors",
    "pickle.loads": "runs code from the bytes",
    "yaml.load": "may run code; headrace.params.read_yaml reads safely",
    "os.system": "a shell; subprocess takes a list",
    "eval": "runs text as code",
    "exec": "runs text as code",
}

HEAVY = {
    "boto3",
    "dvc",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "prefect",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
}


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0], node.lineno


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_each_vendor_has_one_room():
    """Replacing a vendor must be work in one folder."""
    strays = [
        f"{name_of(path)}:{line}: {vendor}"
        for path in CODE
        for vendor, line in imported(path)
        if vendor in VENDOR_ROOMS and not name_of(path).startswith(VENDOR_ROOMS[vendor])
    ]

    assert strays == []


def test_environment_variables_are_read_in_settings_and_variables():
    """Elsewhere a variable could decide a result behind the back of params.yaml."""
    strays = [
        f"{name_of(path)}:{node.lineno}"
        for path in CODE
        if name_of(path) not in ("src/headrace/settings.py", "src/headrace/variables.py")
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv", "os.putenv"}
    ]

    assert strays == []


def test_there_is_no_drawer():
    """A function with no room is a noun nobody has found yet."""
    assert [
        name_of(path) for path in CODE if DRAWERS & {part.removesuffix(".py") for part in path.relative_to(PROJECT).parts}
    ] == []


def test_package_files_are_empty():
    """What they import, every stage that imports anything of the package depends on."""
    with_code = [
        name_of(path)
        for path in CODE
        if path.name == "__init__.py" and any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)
    ]

    assert with_code == []


def test_no_call_runs_foreign_code_or_a_shell():
    strays = []
    for path in [*CODE, *INFRA]:
        for node in nodes(path):
            if not isinstance(node, ast.Call):
                continue
            called = dotted(node.func)
            if called in BANNED_CALLS:
                strays.append(f"{name_of(path)}:{node.lineno}: {called}: {BANNED_CALLS[called]}")
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, value) in {("shell", True), ("weights_only", False), ("allow_pickle", True)}:
                    strays.append(f"{name_of(path)}:{node.lineno}: {keyword.arg}={value}")

    assert strays == []


def test_archives_are_unpacked_by_one_function():
    """A member named ../../x must meet the same check everywhere."""
    calls = {
        name_of(path)
        for path in CODE
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"extractall", "unpack_archive"}
    }

    assert calls == set()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["lint", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    """`headrace --help` answers before torch alone would have been imported."""
    script = f"""
import sys
sys.argv = ["headrace", *{arguments!r}]
from headrace.cli.main import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write(",".join(sorted({HEAVY!r} & set(sys.modules))))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "Usage" in ended.stdout
    assert ended.stderr == ""
