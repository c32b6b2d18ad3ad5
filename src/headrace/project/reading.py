"""What one Python file says: its imports, the modules it looks up by name, the files it names. Read from the source, not run."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """Where a module is imported."""

    module: str
    """Dotted; for `from a import b` it is a.b, whether b is a module or a name in one."""
    file: Path
    line: int
    optional: bool = False
    """Inside a `try` that catches ImportError."""


@dataclass(frozen=True)
class Lookup:
    """A call that imports by name: `plugins.resolve`, or `import_module` of a name that the source does not spell out."""

    room: str
    """Package below headrace; '' when the source does not spell it out."""
    key: str
    """The params key, from the argument `where`; '' when the source does not spell it out."""
    file: Path
    line: int


@dataclass(frozen=True)
class Source:
    """What one file says."""

    imports: tuple[Import, ...]
    lookups: tuple[Lookup, ...]
    constants: tuple[str, ...]
    """Texts that the module assigns to names in capitals: a task says so which program trains it."""
    data: tuple[Import, ...]
    """Files and folders beside the module that it names, such as a template."""
    has_code: bool


def read_source(tree: ast.Module, file: Path, package: str) -> Source:
    """Facts of a parsed file; `package` is what its relative imports start from."""
    imports: list[Import] = []
    calls: list[ast.Call] = []
    data: list[Import] = []

    def visit(node: ast.AST, *, optional: bool) -> None:
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            children: Sequence[ast.AST] = node.orelse
        elif isinstance(node, ast.Try) and any(_catches_import_error(handler) for handler in node.handlers):
            for attempt in node.body:
                visit(attempt, optional=True)
            children = [*node.handlers, *node.orelse, *node.finalbody]
        else:
            children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            imports.extend(Import(alias.name, file, node.lineno, optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            imports.extend(Import(base if a.name == "*" else f"{base}.{a.name}", file, node.lineno, optional) for a in node.names)
        elif isinstance(node, ast.Call):
            calls.append(node)
            if _called(node) == "import_module" and (literal := _literal(node.args[:1])):
                imports.append(Import(literal, file, node.lineno, optional))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_data(file.parent, node.value):
            data.append(Import(node.value, file, node.lineno))
        for child in children:
            visit(child, optional=optional)

    visit(tree, optional=False)
    resolves = any(wanted.module.startswith("headrace.plugins") for wanted in imports)
    lookups = [
        Lookup(_literal(call.args[:1]), _literal([k.value for k in call.keywords if k.arg == "where"]), file, call.lineno)
        for call in calls
        if resolves and _called(call) == "resolve"
    ]
    lookups += [
        Lookup("", "", file, call.lineno) for call in calls if _called(call) == "import_module" and not _literal(call.args[:1])
    ]
    has_code = any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in tree.body)
    return Source(tuple(imports), tuple(lookups), tuple(_constants(tree)), tuple(data), has_code)


def _is_data(folder: Path, text: str) -> bool:
    if not re.fullmatch(r"[\w-]+([./][\w-]+)*", text) or text.endswith(".py"):
        return False
    path = folder / text
    return path.is_file() or (path.is_dir() and text != "__pycache__" and not any(path.rglob("*.py")))


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id.isupper() for target in targets):
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if value is not None and (text := _literal([value])):
                yield text


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and any(
        isinstance(node, ast.Name) and node.id in {"ImportError", "ModuleNotFoundError"} for node in ast.walk(handler.type)
    )


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _literal(nodes: Sequence[ast.expr]) -> str:
    node = nodes[0] if nodes else None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
