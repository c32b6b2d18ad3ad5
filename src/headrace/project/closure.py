"""What a stage's code is: every first-party file and every package that its module can import, read from the source.

Imports inside functions count, imports for the type checker do not. A package's `__init__.py` counts only when it has code.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

import headrace
from headrace.errors import ConfigError
from headrace.project.environment import normalise
from headrace.project.reading import Import, Lookup, Source, read_source

EXEMPT_MODULES = {
    "headrace.listening": "listeners cannot change a byte of an output",
    "headrace.settings": "says where things are, never what they are",
    "headrace.sources": "the bytes a source brings are pinned by sha256 in data/sources.lock",
    "headrace.stages.__main__": "the runner starts every stage and computes nothing",
    "headrace.tracking": "a listener, absent or present",
    "headrace.variables": "as settings, one variable at a time",
}
"""First-party code that no stage depends on, with everything it imports: the one list of exemptions from honest deps."""

EXEMPT_PACKAGES = {
    "mlflow": "tracking only listens",
    "pydantic": "passes the values of params.yaml on or refuses them; DVC hashes the values",
    "rich": "draws on the terminal",
    "ruamel-yaml": "the parser DVC reads params.yaml with: another reading is another hash",
}
"""Packages that no stage lists among its environment.json keys."""


@dataclass
class Closure:
    """Everything reached from some entries, each with the import that reached it first."""

    files: dict[Path, Import] = field(default_factory=dict)
    """First-party files of the project: code, and the data files it names."""
    packages: dict[str, Import] = field(default_factory=dict)
    """Distributions, by name in normal form."""
    lookups: list[Lookup] = field(default_factory=list)
    uses_installed_headrace: bool = False
    """Reached headrace as an installed package: in a user's project its files are no deps of DVC."""


class SourceTree:
    """The Python files of a project: `src/`, its top folder, and headrace where that is installed from elsewhere."""

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()
        self.own_roots = [self.project / "src", self.project]
        self.holds_headrace = (self.project / "src" / "headrace").is_dir()
        self.roots = list(self.own_roots)
        if not self.holds_headrace:
            self.roots.append(Path(headrace.__file__).resolve().parents[1])
        self._scanned: dict[Path, Source] = {}

    def find(self, module: str) -> Path | None:
        """The file of a first-party module, or None."""
        parts = module.split(".")
        for root in self.roots:
            if root == self.roots[-1] and not self.holds_headrace and parts[0] != "headrace":
                continue  # site-packages holds headrace and everything else
            base = root.joinpath(*parts)
            for candidate in (base / "__init__.py", base.with_name(f"{base.name}.py")):
                if candidate.is_file():
                    return candidate
        return None

    def can_import(self, module: str) -> bool:
        """Whether a module is first-party or belongs to an installed package."""
        return self.find(module) is not None or module.partition(".")[0] in _providers()

    def module_name(self, file: Path) -> str:
        """The dotted name of a first-party file."""
        # The environment may lie inside of the project: the innermost root names the module.
        for root in sorted(self.roots, key=lambda root: -len(root.parts)):
            if file.is_relative_to(root):
                parts = file.relative_to(root).with_suffix("").parts
                return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        raise ConfigError(f"{file} is outside of the project {self.project}: only code below its src/ can be a dep of a stage.")

    def is_own(self, file: Path) -> bool:
        """Whether a file belongs to the project, rather than to an installed package."""
        return any(file.is_relative_to(root) for root in self.own_roots) and "site-packages" not in file.parts

    def scan(self, file: Path) -> Source:
        """Parse one file, once.

        Raises:
            ConfigError: it is not valid Python.
        """
        if file not in self._scanned:
            try:
                parsed = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
            except (SyntaxError, ValueError) as error:
                raise ConfigError(f"{file} is not valid Python ({error}). Mend it: deps are found by reading the code.") from None
            package = self.module_name(file)
            if file.name != "__init__.py":
                package = package.rpartition(".")[0]
            self._scanned[file] = read_source(parsed, file, package)
        return self._scanned[file]

    def closure(self, entries: Iterable[Import], *, exempt: Iterable[str] = EXEMPT_MODULES) -> Closure:
        """Follow imports from `entries`, without entering the modules in `exempt` or those below them."""
        walls = tuple(exempt)
        found = Closure()
        seen: set[Path] = set()
        waiting = list(entries)
        while waiting:
            wanted = waiting.pop(0)
            if any(wanted.module == wall or wanted.module.startswith(f"{wall}.") for wall in walls):
                continue
            files = list(self._files_of(wanted.module))
            if not files:
                self._note_package(wanted, found)
            for file in files:
                if file in seen:
                    continue
                seen.add(file)
                source = self.scan(file)
                if file.name == "__init__.py" and not source.has_code:
                    continue
                if self.is_own(file):
                    found.files[file] = wanted
                    found.files |= {file.parent / data.module: data for data in source.data}
                else:
                    found.uses_installed_headrace = True
                if wanted.module != "headrace.plugins" and not wanted.module.startswith("headrace.plugins."):
                    found.lookups += source.lookups  # plugins itself is how all others look up
                waiting += source.imports
        return found

    def _files_of(self, module: str) -> Iterator[Path]:
        """The module's file and the `__init__.py` of each package above it; none when it is not first-party."""
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            if file := self.find(".".join(parts[:depth])):
                yield file

    def _note_package(self, wanted: Import, found: Closure) -> None:
        top = wanted.module.partition(".")[0]
        if top in sys.stdlib_module_names or any((root / top).is_dir() for root in self.own_roots[:1]):
            return
        name = distribution(wanted.module)
        if name not in EXEMPT_PACKAGES:
            found.packages.setdefault(name, wanted)


def distribution(module: str) -> str:
    """The installed distribution that provides a module, in normal form; the module's own top name when none does."""
    parts = module.split(".")
    names = sorted({normalise(name) for name in _providers().get(parts[0], [])}, key=lambda name: (len(name), name))
    if len(names) > 1:  # a namespace such as ruamel or google: several distributions share the folder
        for depth in range(len(parts), 1, -1):
            start = "/".join(parts[:depth])
            holders = [name for name in names if any(re.match(rf"{re.escape(start)}[/.]", file) for file in _files(name))]
            if holders:
                return holders[0]
    return names[0] if names else normalise(parts[0])


@cache
def _providers() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _files(name: str) -> tuple[str, ...]:
    return tuple(file.as_posix() for file in metadata.files(name) or [])
