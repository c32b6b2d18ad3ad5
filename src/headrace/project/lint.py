"""Do dvc.yaml, params.yaml, the code and the lock say the same? `headrace lint`; `--fix` mends what has one answer."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, HeadraceError
from headrace.params import did_you_mean, read_yaml
from headrace.project import dagedit, environment, schema
from headrace.project.closure import SourceTree
from headrace.project.needs import Needs, StageText, assess, groups, read_stages
from headrace.storage.local import write_text

DVCIGNORE = ("__pycache__", "*.swp", ".DS_Store", ".ipynb_checkpoints")
"""Each of these changed a folder's hash without changing a result."""


@dataclass(frozen=True)
class Finding:
    """One disagreement, and what ends it."""

    rule: str
    """name, deps, idle, packages, params, environment, schema or ignore."""
    file: str
    """Relative to the project."""
    line: int
    message: str
    fix: str
    """What to do; `headrace lint --fix` does it where `fixable`."""
    fixable: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message} {self.fix}"


@dataclass(frozen=True)
class _Project:
    """What the rules read, once."""

    root: Path
    tree: SourceTree
    dag_text: str
    stages: Sequence[StageText]
    variants: Mapping[str, Mapping[str, Any]]
    """params.yaml and every recipe, by their path in the project."""

    def at(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def line(self, stage: str) -> int:
        return dagedit.stage_line(self.dag_text, stage)

    def needs(self, stage: StageText) -> Needs:
        return assess(self.tree, stage, list(self.variants.values()), line=self.line(stage.name))


def lint(project: Path, *, fix: bool = False, sections: bool = True) -> list[Finding]:
    """Every disagreement in a project, ordered by file and line.

    Args:
        project: its top folder.
        fix: first mend what has one answer: deps, environment.json keys, environment.json, params.schema.json, .dvcignore.
        sections: also import the stage modules, to check params.yaml and the recipes against their typed sections (seconds,
            because stages import torch and scikit-learn); everything else reads the source only.
    """
    root = project.resolve()
    if fix:
        _mend(root, sections=sections)
    found = _read(root)
    rules: list[Callable[[_Project], Iterator[Finding]]] = [_names, _code, _environment, _ignores]
    if sections:
        rules.append(_sections)
    return sorted((finding for rule in rules for finding in rule(found)), key=lambda f: (f.file, f.line, f.rule, f.message))


def _mend(root: Path, *, sections: bool) -> None:
    if (root / environment.LOCK).exists():
        found = _read(root)
        environment.write(root, groups(found.tree, found.stages, found.variants.values()))
    _write_lines(root / ".dvcignore", DVCIGNORE)
    complete_stages(root)
    if sections:
        with contextlib.suppress(HeadraceError):  # a stage that does not import is a finding
            schema.write(root)


def complete_stages(root: Path, only: str | None = None) -> None:
    """Write the deps and environment.json keys that follow from the code into dvc.yaml, of all stages or of one."""
    found = _read(root)
    text = found.dag_text
    known = _known_packages(root)
    for stage in found.stages:
        needs = found.needs(stage)
        if stage.name != (only or stage.name) or not (needs.files or needs.packages):
            continue
        if needs.missing or needs.idle:
            kept = [dep for dep in stage.deps if dep not in needs.idle]
            text = dagedit.set_deps(text, stage.name, _ordered(kept, needs.missing | needs.instead))
        wanted = _keys(needs, known)
        if wanted != set(stage.packages) or stage.name not in stage.sections:
            text = dagedit.set_params(text, stage.name, stage.name, sorted(wanted) + stage.groups)
    if text != found.dag_text:
        write_text(root / "dvc.yaml", text)


def _read(root: Path) -> _Project:
    paths = [root / "params.yaml", *sorted((root / "recipes").glob("*.yaml"))]
    return _Project(
        root=root,
        tree=SourceTree(root),
        dag_text=(root / "dvc.yaml").read_text(encoding="utf-8") if (root / "dvc.yaml").exists() else "",
        stages=read_stages(read_yaml(root / "dvc.yaml")),
        variants={path.relative_to(root).as_posix(): read_yaml(path) for path in paths},
    )


def _names(project: _Project) -> Iterator[Finding]:
    """One name, four places: dvc.yaml, params.yaml, the module, the report."""
    for stage in project.stages:
        if not stage.runner_module:
            continue  # another program: its author says what it reads and writes
        name, line = stage.name, project.line(stage.name)
        if stage.runner_module.rpartition(".")[2] != name:
            yield Finding("name", "dvc.yaml", line, f"stage '{name}' runs {stage.runner_module}.", f"Name both '{name}'.")
        elif project.tree.find(stage.runner_module) is None:
            where = stage.runner_module.replace(".", "/")
            yield Finding(
                "name", "dvc.yaml", line, f"stage '{name}' has no module {where}.py.", f"Write it, or remove the stage '{name}'."
            )
        for path, values in project.variants.items():
            if name not in values:
                yield Finding("name", path, 1, f"there is no section '{name}' for the stage.", f"Add `{name}:` with its params.")
        report = f"reports/{name}.json"
        if f"--report {report}" not in stage.command:
            yield Finding("name", "dvc.yaml", line, f"stage '{name}' writes no report.", f"Add `--report {report}` to its cmd.")
        metrics = [item if isinstance(item, str) else str(next(iter(item))) for item in stage.body.get("metrics") or []]
        if report not in metrics:
            yield Finding("name", "dvc.yaml", line, f"stage '{name}' does not list its report.", f"Add `metrics: [{report}]`.")
        if name not in stage.sections:
            yield Finding(
                "name", "dvc.yaml", line, f"stage '{name}' does not list its params.", f"Add `params: [{name}]`.", fixable=True
            )


def _code(project: _Project) -> Iterator[Finding]:
    """Deps cover the import closure and no more; environment.json keys are the packages it imports, exactly."""
    known = _known_packages(project.root)
    for stage in project.stages:
        line = project.line(stage.name)
        needs = project.needs(stage)
        for dep, reason in needs.missing.items():
            message = f"stage '{stage.name}' imports {reason.module}, which is not among its deps."
            yield Finding("deps", project.at(reason.file), reason.line, message, f"Add `{dep}`.", fixable=True)
        for dep, why in needs.idle.items():
            message = f"dep {dep} of stage '{stage.name}' is wider than need be: {why}."
            yield Finding("idle", "dvc.yaml", line, message, "Remove it.", fixable=True)
        for lookup in needs.unclear:
            if lookup.room:
                message = f"stage '{stage.name}' takes a module of {lookup.room} by a name that stands in no params file."
                advice = f"Write the key in params.yaml, and add a dep `src/headrace/{lookup.room}/${{section.key}}.py`."
            else:
                message = f"stage '{stage.name}' imports by a name in a room that this call does not spell out."
                advice = (
                    "Write the room and the params key as texts in the call: resolve('tasks', name, ..., where='collect.task')."
                )
            yield Finding("deps", project.at(lookup.file), lookup.line, message, advice)
        if not needs.files and not needs.packages:
            continue
        wanted = _keys(needs, known)
        for name in sorted(needs.packages.keys() - set(stage.packages)):
            reason = needs.packages[name]
            if name in wanted:
                message = f"stage '{stage.name}' imports {reason.module}, and '{name}' is not among its {environment.NAME} keys."
                yield Finding("packages", project.at(reason.file), reason.line, message, f"Add `{name}`.", fixable=True)
            elif not reason.optional:
                message = f"stage '{stage.name}' imports {reason.module}, which is not in {environment.LOCK}."
                yield Finding("packages", project.at(reason.file), reason.line, message, f"Add '{name}' to the lock.")
        for name in sorted(set(stage.packages) - wanted):
            message = f"stage '{stage.name}' lists {name} of {environment.NAME} and imports nothing of it."
            yield Finding("packages", "dvc.yaml", line, message, f"Remove `{name}`.", fixable=True)


def _environment(project: _Project) -> Iterator[Finding]:
    if not (project.root / environment.LOCK).exists():
        yield Finding(
            "environment", environment.LOCK, 1, "there is no lock of the installed packages.", "Write it with `make lock`."
        )
        return
    wanted = environment.generate(
        project.root / environment.LOCK, groups(project.tree, project.stages, project.variants.values())
    )
    try:
        found = environment.read(project.root)
    except ConfigError:
        found = {}
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differing:
        message = f"differs from {environment.LOCK} in {', '.join(differing[:5])}{' and more' if len(differing) > 5 else ''}."
        yield Finding("environment", environment.NAME, 1, message, "Write it anew.", fixable=True)


def _ignores(project: _Project) -> Iterator[Finding]:
    for line in _missing_lines(project.root / ".dvcignore", DVCIGNORE):
        message = f"does not hold `{line}`, which changes the hash of a folder and no result."
        yield Finding("ignore", ".dvcignore", 1, message, "Add the line.", fixable=True)


def _sections(project: _Project) -> Iterator[Finding]:
    """params.yaml and the recipes hold what the typed sections know; params.schema.json is generated from them."""
    try:
        typed = schema.sections(project.root)
    except HeadraceError as error:
        yield Finding("params", "dvc.yaml", 1, str(error), "")
        return
    for path, values in project.variants.items():
        for name in values.keys() - typed.keys():
            message = f"section '{name}' belongs to no stage or flow.{did_you_mean(name, typed)}"
            yield Finding("params", path, _line_of(project.root / path, name), message, "Remove or rename it.")
        for name in typed.keys() & values.keys():
            for message in schema.problems(values[name], name, typed[name]):
                yield Finding("params", path, _line_of(project.root / path, name), message, "")
    if schema.is_stale(project.root, typed):
        yield Finding("schema", schema.NAME, 1, "differs from the typed sections of the stages.", "Write it anew.", fixable=True)


def _keys(needs: Needs, known: Mapping[str, Any]) -> set[str]:
    return {name for name in needs.packages if name.partition(".")[0] in known}


def _known_packages(root: Path) -> dict[str, Any]:
    return environment.generate(root / environment.LOCK) if (root / environment.LOCK).exists() else {}


def _ordered(kept: Sequence[str], missing: Iterable[str]) -> list[str]:
    """Data first, in the order they stand; then the code, sorted."""
    code = {dep for dep in kept if dep.startswith("src/")} | set(missing)
    return [dep for dep in kept if dep not in code] + sorted(code)


def _missing_lines(path: Path, lines: Iterable[str]) -> list[str]:
    present = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if line not in (text.strip() for text in present)]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    if missing := _missing_lines(path, lines):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, before.rstrip("\n") + "\n" * bool(before) + "\n".join(missing) + "\n")


def _line_of(path: Path, section: str) -> int:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if re.match(rf"['\"]?{re.escape(section)}['\"]?\s*:", line):
            return number
    return 1


def to_json(findings: Sequence[Finding]) -> str:
    """Findings as a JSON list, for machines."""
    return json.dumps([finding.__dict__ for finding in findings], indent=2) + "\n"
