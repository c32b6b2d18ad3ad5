"""Typed sections of params.yaml and typed stage reports.

A stage declares `class Params(Section)` and returns a `Report`. YAML is read by ruamel.yaml, as DVC reads it (YAML 1.2: `1e-3`
is a number, `no` is a word), with duplicate keys refused.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.errors import ParamsError

Out = Annotated[Path, "output"]
"""Marks a path that a stage's `run` writes: the runner hands over a temporary sibling and renames it at the end."""

MAX_YAML_BYTES = 1_000_000
MAX_YAML_NODES = 100_000

JsonValue = None | bool | int | float | str | list[Any] | dict[str, Any]


class Section(BaseModel):
    """One section of params.yaml: frozen, unknown keys refused. Every value in it can change a result."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Report(BaseModel):
    """What a stage found out, written to reports/<stage>.json: a function of the stage's inputs, so no clock, host or path."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def to_json(self) -> str:
        """The report as it is written to disk: sorted keys, two spaces, a final newline; NaN and infinity are refused."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"


SectionT = TypeVar("SectionT", bound=Section)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping safely.

    Raises:
        ParamsError: no such file, too large, not YAML, a duplicate key, an alias bomb, or not a mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ParamsError(f"{path} has {path.stat().st_size} bytes; a file of settings may have {MAX_YAML_BYTES}.")
        loaded = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist. Run the command in the project's folder.") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise ParamsError(_not_yaml(path, error)) from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ParamsError(f"{path} must hold a mapping of sections, found a {type(loaded).__name__}.")
    _count_nodes(loaded, path)
    return loaded


def _not_yaml(path: Path, error: Exception) -> str:
    # The parser's own text names a "<unicode string>" and repeats the line: place and problem are enough.
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)] if mark is not None else [str(error)]
    detail = ", ".join(" ".join(part.split()) for part in parts if part)
    return f"{where} is not valid YAML: {detail[:300]}."


def _count_nodes(root: Any, path: Path) -> None:
    # Aliases make a few bytes into millions of nodes; walking with a cap is what stops the bomb.
    stack, seen = [root], 0
    while stack:
        node = stack.pop()
        seen += 1
        if seen > MAX_YAML_NODES:
            raise ParamsError(f"{path} expands to more than {MAX_YAML_NODES} values; write it without nested aliases.")
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def load_section(path: Path, name: str, section: type[SectionT]) -> SectionT:
    """Read section `name` of a params file.

    Raises:
        ParamsError: the section is missing, a key is unknown (with the nearest known one), or a value has the wrong type.
    """
    everything = read_yaml(path)
    if name not in everything:
        raise ParamsError(f"{path} has no section '{name}'.{did_you_mean(name, everything)}")
    return parse_section(everything[name] or {}, name, section, where=str(path))


def parse_section(values: Mapping[str, Any], name: str, section: type[SectionT], *, where: str) -> SectionT:
    """Check the values of one section; `where` names their origin in messages."""
    if not isinstance(values, Mapping):
        raise ParamsError(f"{where}: section '{name}' must be a mapping, found {values!r}.")
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise ParamsError("\n".join(_explain(problem, name, section, where) for problem in error.errors())) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' when a known word is near, else the known words."""
    known = sorted(str(k) for k in known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" Known: {', '.join(known)}." if known else ""


def _explain(problem: Any, name: str, section: type[Section], where: str) -> str:
    loc = [str(part) for part in problem["loc"]]
    key = ".".join([name, *loc])
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key '{key}'.{did_you_mean(loc[-1], _known_keys(section, loc[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: '{key}' is missing."
    message = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    if problem["type"] == "value_error" and isinstance(value, dict):
        return f"{where}: '{key}': {message}"
    return f"{where}: '{key}' is {value!r}: {message[0].lower() + message[1:]}."


def _known_keys(model: Any, loc: list[str]) -> list[str]:
    """Field names at a place inside a model; walks through lists, unions and optional sections."""
    schema: Any = model.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        while "$ref" in node:
            node = definitions[node["$ref"].split("/")[-1]]
        return node

    nodes = [resolve(schema)]
    for part in loc:
        following = []
        for node in nodes:
            for variant in map(resolve, [node, *node.get("anyOf", []), *node.get("oneOf", [])]):
                if part in variant.get("properties", {}):
                    following.append(resolve(variant["properties"][part]))
                elif isinstance(variant.get("items"), dict):
                    following.append(resolve(variant["items"]))
        nodes = following or nodes
    found: list[str] = []
    for node in nodes:
        for variant in [node, *node.get("anyOf", []), *node.get("oneOf", [])]:
            found += resolve(variant).get("properties", {})
    return found
