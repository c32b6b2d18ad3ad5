"""docs/reference: pages generated from the code, so that they cannot say something else."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import AliasChoices

from headrace import errors
from headrace.params import Section
from headrace.project import schema
from headrace.settings import Settings
from headrace.storage.local import write_text

FOLDER = "docs/reference"

NOTE = "Generated from the code by `make docs`; edits are lost."
SETTINGS_ORDER = """\
Where things are and who may touch them: environment variables, then the project's `.env`, then what `headrace up` started, then the
defaults. No setting enters a hash. Variables of the stack that are not listed (`AWS_*`, `DVC_*`, `PREFECT_*`, `MLFLOW_*`) work as their
tools describe them."""


def pages(project: Path, command: Any) -> dict[str, str]:
    """Every generated page, by its path in the project.

    Args:
        project: top folder.
        command: the command line as a click command (`typer.main.get_command(app)`).
    """
    return {
        f"{FOLDER}/params.md": params_page(schema.sections(project)),
        f"{FOLDER}/options.md": options_page(),
        f"{FOLDER}/commands.md": commands_page(command),
        f"{FOLDER}/exit-codes.md": exit_codes_page(),
        f"{FOLDER}/settings.md": settings_page(),
    }


def write(project: Path, command: Any) -> list[str]:
    """Write the pages that changed; returns their paths."""
    changed = []
    for name, text in pages(project, command).items():
        path = project / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed.append(name)
    return changed


def params_page(typed: Mapping[str, type[Section]]) -> str:
    """docs/reference/params.md: section, key, type, default, meaning."""
    whole = schema.generate(typed)
    definitions = whole.get("$defs", {})
    lines = [
        "# Params",
        "",
        NOTE,
        "",
        "Every number that can change a result stands in `params.yaml`, one section per stage.",
        "",
    ]
    for name in typed:
        section = _resolved(whole["properties"][name], definitions)
        summary = " ".join(section.get("description", "").split())
        lines += [f"## {name}", "", *([summary, ""] if summary else []), *_table(section, definitions)]
    return "\n".join(lines)


def options_page() -> str:
    """docs/reference/options.md: keys of params.yaml whose meaning is that of a task, format, network or evaluation."""
    lines = [
        "# Options",
        "",
        NOTE,
        "",
        "What may stand below the keys of `params.yaml` that another key gives their meaning.",
        "",
    ]
    for key, _, room, attribute in schema.OPTIONS:
        for name, typed in schema.typed_options(key, room, attribute):
            if typed.model_fields:
                section = typed.model_json_schema()
                lines += [f"## {key} of {name}", "", *_table(section, section.get("$defs", {}))]
    return "\n".join(lines)


def _table(section: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, node, required in _keys(section, definitions, ""):
        default = "required" if required else f"`{_shown(node.get('default'))}`" if "default" in node else ""
        meaning = " ".join(str(node.get("description", "")).split())
        lines.append(f"| `{key}` | {_cell(_type(node, definitions))} | {_cell(default)} | {_cell(meaning)} |")
    return [*lines, ""]


def exit_codes_page() -> str:
    """docs/reference/exit-codes.md: what a command's exit code means, from the tree of exceptions."""
    lines = [
        "# Exit codes",
        "",
        NOTE,
        "",
        "| code | when | raised as |",
        "|---|---|---|",
        "| 0 | done; a refused promotion is a result | |",
        "| 1 | something of ours failed; `--debug` shows where | `HeadraceError` |",
    ]
    rows = sorted(
        {
            (kind.exit_code, kind.__name__, (kind.__doc__ or "").strip().splitlines()[0])
            for kind in _exceptions()
            if kind.exit_code > 1
        }
    )
    lines += [f"| {code} | {_cell(meaning)} | `{name}` |" for code, name, meaning in rows]
    lines += ["| 130 | stopped by Ctrl-C; the same command goes on | |", "| 143 | ended by SIGTERM | |"]
    return "\n".join([*lines, ""])


def settings_page() -> str:
    """docs/reference/settings.md: environment variable, type, default, meaning."""
    properties = Settings.model_json_schema(by_alias=False)["properties"]
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        SETTINGS_ORDER,
        "",
        "| variable | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        variable = str(first or f"HEADRACE_{name.upper()}")
        default = "" if field.default is None or field.default_factory else f"`{_shown(field.default)}`"
        kind = _type(properties[name], {}).replace(" or null", "")
        lines.append(
            f"| `{variable}` | {_cell(kind)} | {_cell(default)} | {_cell(' '.join((field.description or '').split()))} |"
        )
    return "\n".join([*lines, ""])


def commands_page(command: Any) -> str:
    """docs/reference/commands.md: every command with its help, arguments and options."""
    lines = ["# Commands", "", NOTE, "", _plain(command.help), ""]
    for path, found in _commands(command, command.name or "headrace"):
        usage = " ".join([path, *(param.name.upper() for param in found.params if _is_argument(param))])
        lines += [f"## {path}", "", f"    {usage} [OPTIONS]", "", _plain(found.help), ""]
        options = [param for param in found.params if not getattr(param, "hidden", False)]
        if options:
            lines += ["| argument or option | meaning | default |", "|---|---|---|"]
            lines += [
                f"| {_cell(_spelling(param))} | {_cell(_plain(getattr(param, 'help', '')))} | {_default(param)} |"
                for param in options
            ]
            lines.append("")
    return "\n".join(lines)


def _keys(
    section: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    required = section.get("required", [])
    for key, node in section.get("properties", {}).items():
        inner = _resolved(node, definitions)
        if "properties" in inner:
            yield from _keys(inner, definitions, f"{prefix}{key}.")
            continue
        yield f"{prefix}{key}", {**inner, **{k: v for k, v in node.items() if k != "$ref"}}, key in required
        listed = isinstance(inner.get("items"), Mapping)
        choices = [_resolved(choice, definitions) for choice in _choices(inner["items"] if listed else inner)]
        objects = [choice for choice in choices if "properties" in choice]
        for choice in objects:
            title = f"[{choice['title']}]" if len(objects) > 1 else "[]" if listed else ""
            yield from _keys(choice, definitions, f"{prefix}{key}{title}.")


def _choices(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*node.get("anyOf", []), *node.get("oneOf", [])] or [node]


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    return definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _type(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in node:
        inner = _resolved(node, definitions)
        return str(inner.get("title", "section")) if "properties" in inner else _type(inner, definitions)
    if "enum" in node:
        return " or ".join(f"`{_shown(value)}`" for value in node["enum"])
    if "const" in node:
        return f"`{_shown(node['const'])}`"
    for joined in ("anyOf", "oneOf"):
        if joined in node:
            return " or ".join(dict.fromkeys(_type(option, definitions) for option in node[joined]))
    if node.get("type") == "array":
        return f"list of {_type(node['items'], definitions)}" if isinstance(node.get("items"), Mapping) else "list"
    return str(node.get("type", "any")) + _bounds(node)


def _bounds(node: Mapping[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [f"{sign} {node[name]}" for name, sign in signs.items() if name in node]
    return f", {' and '.join(found)}" if found else ""


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else '""' if value == "" else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _exceptions() -> Iterator[type[errors.HeadraceError]]:
    waiting = [errors.HeadraceError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            yield kind
        waiting += kind.__subclasses__()


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        if getattr(inner, "hidden", False):
            continue
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{path} {name}")
        else:
            yield f"{path} {name}", inner


def _is_argument(param: Any) -> bool:
    return getattr(param, "param_type_name", "") == "argument"


def _spelling(param: Any) -> str:
    if _is_argument(param):
        return f"`{param.name.upper()}`"
    return ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])


def _default(param: Any) -> str:
    value = getattr(param, "default", None)
    if param.required:
        return "required"
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"`{value}`" if is_plain and value != "" else ""


def _plain(text: str | None) -> str:
    """Help text without rich's markup: [bold]x[/] becomes `x`."""
    return (text or "").replace("[bold]", "`").replace("[/bold]", "`").replace("[/]", "`").strip()
