"""What one stage of dvc.yaml needs as deps and environment.json keys, against what it lists."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import plugins
from headrace.dagfile import fill, nested
from headrace.errors import ConfigError
from headrace.project.closure import Closure, SourceTree
from headrace.project.environment import NAME
from headrace.project.reading import Import, Lookup

_COMMAND = re.compile(
    r"python3?\s+(?:-m\s+headrace\.stages\s+(?P<stage>[\w.]+)|-m\s+(?P<module>[\w.]+)|(?P<script>[\w./-]+\.py))"
)
_OWN_CODE = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


@dataclass(frozen=True)
class StageText:
    """One stage as dvc.yaml has it, templates not filled in."""

    name: str
    body: Mapping[str, Any]

    @property
    def command(self) -> str:
        """Its command as one line."""
        cmd = self.body.get("cmd", "")
        return " ".join((cmd if isinstance(cmd, str) else " && ".join(cmd)).split())

    @property
    def runner_module(self) -> str:
        """The module that `python -m headrace.stages` runs, dotted; '' for another command."""
        match = _COMMAND.search(self.command)
        stage = match["stage"] if match else None
        return "" if not stage else stage if "." in stage else f"headrace.stages.{stage}"

    @property
    def deps(self) -> list[str]:
        """Its deps, as written."""
        return [dep if isinstance(dep, str) else str(next(iter(dep))) for dep in self.body.get("deps") or []]

    @property
    def sections(self) -> list[str]:
        """Its params keys of params.yaml."""
        return [item for item in self.body.get("params") or [] if isinstance(item, str)]

    @property
    def packages(self) -> list[str]:
        """Its keys of environment.json, without groups."""
        return [key for key in self._keys if "${" not in key]

    @property
    def groups(self) -> list[str]:
        """Its keys of environment.json that name the packages of an alternative, such as `trainers.${train.trainer}`."""
        return [key for key in self._keys if "${" in key]

    @property
    def _keys(self) -> list[str]:
        return [key for item in self.body.get("params") or [] if isinstance(item, Mapping) for key in item.get(NAME) or []]


@dataclass
class Needs:
    """What follows from a stage's code, over params.yaml and every recipe."""

    missing: dict[str, Import] = field(default_factory=dict)
    """Deps to add, as they should be written, each with the import that needs it."""
    instead: dict[str, Import] = field(default_factory=dict)
    """Deps to write in place of folders that hold more than the stage uses."""
    idle: dict[str, str] = field(default_factory=dict)
    """Deps to remove, each with the reason."""
    packages: dict[str, Import] = field(default_factory=dict)
    """All environment.json keys the stage should list, beside its groups."""
    files: set[Path] = field(default_factory=set)
    """First-party files of the closure."""
    unclear: list[Lookup] = field(default_factory=list)
    """Lookups of which nobody can tell what they find: neither the source nor dvc.yaml names the params key."""


def read_stages(dag: Mapping[str, Any]) -> list[StageText]:
    """Every stage of a dvc.yaml that was read; of foreach and matrix stages the common body."""
    stages = dag.get("stages") or {}
    if not isinstance(stages, Mapping):
        raise ConfigError(f"dvc.yaml: 'stages' must be a mapping of names, found a {type(stages).__name__}.")
    found = []
    for name, body in stages.items():
        inner = body.get("do", body) if isinstance(body, Mapping) else None
        if not isinstance(inner, Mapping) or "cmd" not in inner:
            raise ConfigError(f"dvc.yaml: stage '{name}' has no cmd. Add `cmd: python -m headrace.stages {name} ...`.")
        for key in ("deps", "params", "outs", "metrics"):
            if not isinstance(inner.get(key) or [], list):
                raise ConfigError(f"dvc.yaml: '{key}' of stage '{name}' must be a list. Write `{key}: [...]`.")
        found.append(StageText(str(name), inner))
    return found


def assess(tree: SourceTree, stage: StageText, variants: Sequence[Mapping[str, Any]], *, line: int = 1) -> Needs:
    """Compare a stage's deps with its import closure under each params file in `variants`."""
    needs = Needs()
    readings = []
    # A recipe without the stage's section is wrong already, and says nothing about its deps.
    for values in [found for found in variants if stage.name in found or not stage.runner_module] or variants[:1]:
        filled = {dep: path for dep in stage.deps if (path := _filled(dep, values)) is not None}
        code, templates = _stage_code(tree, stage, values, filled, needs, line)
        if code is None:
            return needs
        readings.append((filled, code, templates))
        needs.files |= set(code.files)
        needs.packages = {**_alone(tree, stage, values, code), **needs.packages}
        if code.uses_installed_headrace:
            own = tree.find(stage.runner_module) if stage.runner_module else None
            is_usual = stage.runner_module == f"headrace.stages.{stage.name}"  # only those have a result revision of their own
            key = f"headrace.{stage.name}" if is_usual and own is not None and not tree.is_own(own) else "headrace"
            needs.packages.setdefault(key, Import("headrace", tree.project / "dvc.yaml", line))
    wide = _wide_folders(tree, stage, needs.files)
    templated = {dep for dep in stage.deps if "${" in dep} | {text for _, _, templates in readings for text in templates.values()}
    # `module:function` of one's own makes no path of a template: then each alternative is listed as the file it is.
    nowhere = {dep for dep in templated for values in variants if ":" in (_filled(dep, values) or "")}
    used: set[str] = set()
    for filled, code, templates in readings:
        for file, reason in code.files.items():
            relative = file.relative_to(tree.project).as_posix()
            covering = {
                dep
                for dep, path in filled.items()
                if dep not in nowhere and (relative == path or relative.startswith(f"{path.rstrip('/')}/"))
            }
            used |= covering
            if covering <= wide.keys():
                written = templates.get(file, relative)
                wanted = relative if written in nowhere else written
                (needs.instead if covering else needs.missing).setdefault(wanted, reason)
    for dep in stage.deps:
        is_code = dep.startswith("src/") and (dep.endswith(".py") or any((tree.project / dep).rglob("*.py")))
        if dep in nowhere:
            needs.idle[dep] = "a params file names code of your own there, which is no such file"
        elif is_code and dep not in used:
            needs.idle[dep] = "nothing in the stage imports it"
        elif dep in wide:
            needs.idle[dep] = f"the stage does not use {', '.join(wide[dep])} in it. List the files it uses"
    return needs


def group_packages(tree: SourceTree, group: str) -> set[str]:
    """Packages that one alternative of a room imports, itself or through what it imports: `trainers.network`."""
    room, _, name = group.partition(".")
    return set(tree.closure([Import(_module(tree, room, name), tree.project / "dvc.yaml", 1)]).packages) if name else set()


def groups(tree: SourceTree, stages: Iterable[StageText], variants: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Packages of every group that a templated key of environment.json can name: all of the room, and what params name."""
    values = list(variants)
    found: dict[str, set[str]] = {}
    for key in {key for stage in stages for key in stage.groups}:
        room = key.partition(".")[0]
        names = {f"{room}.{name}" for name in plugins.names(room) if name != "contract"}
        for group in sorted(names | {filled for each in values if (filled := _filled(key, each)) is not None}):
            found[group] = group_packages(tree, group)
    return found


def _alone(tree: SourceTree, stage: StageText, values: Mapping[str, Any], code: Closure) -> dict[str, Import]:
    """Packages of a stage's closure that are in no group of it."""
    grouped = {name for key in stage.groups for name in group_packages(tree, _filled(key, values) or "")}
    return {name: reason for name, reason in code.packages.items() if name not in grouped}


def _wide_folders(tree: SourceTree, stage: StageText, files: set[Path]) -> dict[str, list[str]]:
    """Folders of code among the deps that hold more than the stage uses, with what is too much."""
    below = {dep: sorted((tree.project / dep).rglob("*.py")) for dep in stage.deps if dep.startswith("src/")}
    extra = {dep: [file.name for file in found if file not in files and tree.scan(file).has_code] for dep, found in below.items()}
    return {dep: names for dep, names in extra.items() if names}


def _filled(dep: str, values: Mapping[str, Any]) -> str | None:
    try:
        return fill(dep, values)
    except ConfigError:
        return None  # `item` of a foreach stage, or a section that this recipe does not have


def _stage_code(
    tree: SourceTree, stage: StageText, values: Mapping[str, Any], filled: Mapping[str, str], needs: Needs, line: int
) -> tuple[Closure | None, dict[Path, str]]:
    """The closure of a stage's module and of every module that params name, and how the deps on the latter are written."""
    start = _entry(tree, stage, line)
    if start is None:
        return None, {}
    section = values.get(stage.name)
    own = [
        Import(_module(tree, "", text), tree.project / "params.yaml", 1) for text in _strings(section) if _is_own_code(tree, text)
    ]
    entries = {entry.module: entry for entry in [start, *own]}
    templates: dict[Path, str] = {}
    constants: set[str] = set()
    while True:
        code = tree.closure(entries.values())
        found: dict[str, Import] = {}
        for lookup in code.lookups:
            modules = _named(tree, stage, lookup, values, filled, constants)
            # What an installed headrace looks up in its own rooms is covered by its key in environment.json.
            if (modules is None or not lookup.room) and tree.is_own(lookup.file) and lookup not in needs.unclear:
                needs.unclear.append(lookup)
            for module, template in (modules or {}).items():
                found.setdefault(module, Import(module, lookup.file, lookup.line))
                if (file := tree.find(module)) is not None:
                    constants |= set(tree.scan(file).constants)
                    if template:
                        templates.setdefault(file, template)
        if found.keys() <= entries.keys():
            return code, templates
        needs.unclear.clear()  # what was unclear may be what a module just found says
        entries = {**found, **entries}


def _entry(tree: SourceTree, stage: StageText, line: int) -> Import | None:
    dag = tree.project / "dvc.yaml"
    match = _COMMAND.search(stage.command)
    if match is None:
        return None
    if match["script"]:
        file = tree.project / match["script"]
        return Import(tree.module_name(file), dag, line) if file.is_file() else None
    module = stage.runner_module or match["module"]
    return Import(module, dag, line) if tree.find(module) else None


def _named(
    tree: SourceTree,
    stage: StageText,
    lookup: Lookup,
    values: Mapping[str, Any],
    filled: Mapping[str, str],
    constants: Iterable[str],
) -> dict[str, str] | None:
    """Modules that a lookup finds under these params, each with its templated dep ('' when the path itself is the dep).

    The params key says it; else a templated dep of the room, what a module found by name says (`PROGRAM` of a task), or any name
    of the room in the stage's section. None when nothing does.
    """
    if not lookup.room:  # anything that dvc.yaml spells with a template may be meant
        templated = [path for dep, path in filled.items() if "${" in dep and path.startswith("src/") and path.endswith(".py")]
        return {tree.module_name(tree.project / path): "" for path in templated if (tree.project / path).is_file()}
    room = f"src/headrace/{lookup.room}/"

    def modules(texts: Iterable[str]) -> dict[str, str]:
        return {_module(tree, lookup.room, text): "" for text in texts if _is_name(tree, lookup.room, text)}

    for key in (lookup.key, f"{stage.name}.{lookup.key}"):
        value = nested(values, key) if lookup.key else None
        if isinstance(value, str) and ":" not in value and _is_name(tree, lookup.room, value):
            return {_module(tree, lookup.room, value): f"{room}${{{key}}}.py"}
        if value:
            return modules(_strings(value))
    templated = [path for dep, path in filled.items() if "${" in dep and path.startswith(room)]
    return (
        modules(Path(path).stem for path in templated) or modules(constants) or modules(_strings(values.get(stage.name))) or None
    )


def _is_name(tree: SourceTree, room: str, text: str) -> bool:
    return _is_own_code(tree, text) or (text.isidentifier() and tree.find(f"headrace.{room}.{text}") is not None)


def _is_own_code(tree: SourceTree, text: str) -> bool:
    return bool(_OWN_CODE.match(text)) and tree.can_import(text.partition(":")[0])  # `bundled:digits` is no code


def _module(tree: SourceTree, room: str, name: str) -> str:
    if ":" not in name:
        return f"headrace.{room}.{name}"
    module, _, attribute = name.partition(":")
    inner = f"{module}.{attribute.partition('.')[0]}"  # `package:module`, as a task may be
    return inner if tree.find(inner) else module


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
