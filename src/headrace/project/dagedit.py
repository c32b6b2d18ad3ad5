"""Edit the deps and params of one stage in dvc.yaml, as text: every other line, comment and layout stays as it is."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import ConfigError
from headrace.project.environment import NAME

WIDTH = 100
"""A list longer than this is written one item a line."""


@dataclass(frozen=True)
class Item:
    """One entry of a list, with the comments that belong to it."""

    text: str
    above: tuple[str, ...] = ()
    """Comment lines above it, stripped."""
    beside: str = ""
    """Comment at the end of its line."""


def stage_line(text: str, stage: str) -> int:
    """Line of a stage's name in dvc.yaml, from 1."""
    key, _ = _stage(text, stage)
    return int(key.start_mark.line) + 1


def set_deps(text: str, stage: str, deps: Sequence[str]) -> str:
    """Return dvc.yaml with these deps: the ones that stood there keep their comments, in the order given."""
    return _set_list(text, stage, "deps", {dep: dep for dep in deps})


def set_params(text: str, stage: str, section: str, packages: Sequence[str]) -> str:
    """Return dvc.yaml with `section` and exactly these environment.json keys among the stage's params."""
    _, value = _child(_stage(text, stage)[1], "params")
    wanted: dict[str, str] = {}
    for node in value.value if value is not None else ():
        raw = _raw(text, node)
        if not raw.startswith(NAME):
            wanted[raw] = raw
    if section not in wanted:
        wanted = {section: section, **wanted}
    if packages:
        # A brace in a list on one line must be quoted.
        wanted[NAME] = f"{NAME}: [{', '.join(json.dumps(name) if '{' in name else name for name in packages)}]"
    return _set_list(text, stage, "params", wanted)


def insert_stage(text: str, stanza: str, *, after: str) -> str:
    """Return dvc.yaml with the lines of a new stage below those of the stage `after`, set apart as the other stages are."""
    key, body = _stage(text, after)
    end = _line_end(text, _end(text, body))
    pad = " " * key.start_mark.column
    lines = "\n".join(f"{pad}{line}" if line else "" for line in stanza.rstrip("\n").splitlines())
    gap = "\n" if re.search(rf"\n[ \t]*\n{pad}[^\s#]", text[text.find("stages:") :]) else ""
    return f"{text[:end]}\n{gap}{lines}{text[end:] or chr(10)}"


def _set_list(text: str, stage: str, name: str, wanted: dict[str, str]) -> str:
    """Write list `name`; `wanted` maps an item's identity (its text, or the start of a mapping) to what stands there."""
    _, body = _stage(text, stage)
    key, value = _child(body, name)
    if key is None and not wanted:
        return text
    before = {item.text: item for item in _items(text, key, value)} if value is not None else {}
    kept = {identity: next((item for raw, item in before.items() if _same(raw, identity)), None) for identity in wanted}
    items = [Item(new) if (old := kept[i]) is None else Item(new, old.above, old.beside) for i, new in wanted.items()]
    column = body.value[0][0].start_mark.column
    is_block = value is not None and not value.flow_style
    lines = _render(name, items, column, _dash_column(value, column), is_block=is_block)
    if key is not None:
        start = text.rfind("\n", 0, key.start_mark.index) + 1
        end = text.find("\n", _end(text, value))
    else:
        first = body.value[0]  # after the stage's first key, which is its cmd
        start = end = text.find("\n", _end(text, first[1]))
        lines = ["", *lines]
    end = len(text) if end < 0 else end
    start = len(text) if start < 0 else start
    return text[:start] + "\n".join(lines) + (text[end:] if lines else text[end:].removeprefix("\n"))


def _same(raw: str, identity: str) -> bool:
    return raw == identity or raw.strip("'\"") == identity or (identity == NAME and raw.startswith(NAME))


def _render(name: str, items: Sequence[Item], column: int, dash: int, *, is_block: bool) -> list[str]:
    if not items:
        return []
    pad = " " * column
    line = f"{pad}{name}: [{', '.join(item.text for item in items)}]"
    plain = not is_block and all(not item.above and not item.beside and "${" not in item.text for item in items)
    if plain and len(line) <= WIDTH:
        return [line]
    lines = [f"{pad}{name}:"]
    for item in items:
        lines += [f"{' ' * dash}{comment}" for comment in item.above]
        lines.append(f"{' ' * dash}- {item.text}" + (f"  {item.beside}" if item.beside else ""))
    return lines


def _items(text: str, key: Any, value: Any) -> list[Item]:
    items: list[Item] = []
    position = key.end_mark.index
    for node in value.value:
        between = text[position : node.start_mark.index]
        above = tuple(line.strip() for line in between.splitlines()[1:] if line.strip().startswith("#"))
        position = _end(text, node)
        rest = text[position : _line_end(text, position)].lstrip(" ,]")
        items.append(Item(_raw(text, node), above, rest if rest.startswith("#") else ""))
    return items


def _dash_column(value: Any, column: int) -> int:
    if value is not None and not value.flow_style and value.value:
        return int(value.start_mark.column)
    return column + 2


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _raw(text: str, node: Any) -> str:
    return " ".join(text[node.start_mark.index : _end(text, node)].split())


def _end(text: str, node: Any) -> int:
    """Where a node's own text ends; marks of block collections and block scalars stand behind what follows them."""
    if getattr(node, "flow_style", None) is False and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: node.end_mark.index].rstrip())


def _stage(text: str, stage: str) -> tuple[Any, Any]:
    from ruamel.yaml import YAML

    root = YAML(pure=True).compose(text)
    _, stages = _child(root, "stages")
    key, body = _child(stages, stage)
    if key is None or not hasattr(body, "flow_style") or body.flow_style or not body.value:
        raise ConfigError(f"dvc.yaml has no stage {json.dumps(stage)} written as a block (one key a line). Write it so.")
    _, inner = _child(body, "do")  # foreach and matrix
    return key, inner if inner is not None else body


def _child(node: Any, name: str) -> tuple[Any, Any]:
    for key, value in node.value if node is not None and isinstance(node.value, list) else ():
        if getattr(key, "value", None) == name:
            return key, value
    return None, None
