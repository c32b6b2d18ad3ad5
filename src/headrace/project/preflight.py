"""What can be known to be wrong before anything runs."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from headrace.dagfile import TEMPLATE, fill, nested
from headrace.errors import ParamsError
from headrace.params import did_you_mean, read_yaml

SCHEMA = "params.schema.json"
NAMED = "x-options"
"""Where the schema has the options that another key gives their meaning (project/schema.py, which costs imports)."""
MAX_SHOWN_CHARS = 80


def check_params(project: Path) -> None:
    """Hold params.yaml against params.schema.json before anything runs: a slip of the pen in `evaluate` must not cost a training.

    A name that dvc.yaml makes a path of, such as `train.network`, must have its file, and options are held against what that file
    types. What a schema cannot say (a range between two keys, the options of own code) the stage itself checks when it starts. A
    section that the schema does not know is a stage's own if dvc.yaml has a stage of that name.

    Raises:
        ParamsError: an unknown key, with the nearest known one, or a value of the wrong type; all of them, a line each.
    """
    if not (project / SCHEMA).exists():
        return
    from jsonschema import Draft202012Validator

    known = json.loads((project / SCHEMA).read_text(encoding="utf-8"))
    stages = read_yaml(project / "dvc.yaml").get("stages") or {}
    values = read_yaml(project / "params.yaml")
    if stages and not values:
        raise ParamsError(
            "params.yaml is empty. `headrace recipe use NAME` writes a complete one, `git checkout params.yaml` brings the last back."
        )
    wrong: list[str] = []
    for name, body in values.items():
        if name not in known["properties"]:
            if name not in stages:
                wrong.append(f"params.yaml: no stage or flow has a section '{name}'.{did_you_mean(name, known['properties'])}")
            continue
        validator = Draft202012Validator({**known["properties"][name], "$defs": known["$defs"]})
        wrong += [_in_words(name, error) for error in validator.iter_errors(body or {})]
    wrong += [line for key, named in known.get(NAMED, {}).items() for line in _misfits(key, named, values)]
    wrong = wrong or list(dict.fromkeys(_nameless(project, stages, values)))
    if wrong:
        raise ParamsError("\n".join(wrong))


def _misfits(key: str, named: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with options that another key gives their meaning; nothing where that names own code."""
    from jsonschema import Draft202012Validator

    options, name = nested(values, key), nested(values, named["by"])
    if options and isinstance(name, str) and name in named["of"]:
        for error in Draft202012Validator(named["of"][name]).iter_errors(options):
            yield _in_words(key, error)


def _nameless(project: Path, stages: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Names in params.yaml without the file that dvc.yaml expects: DVC would only say that a dep is missing."""
    for body in stages.values():
        for dep in (body or {}).get("deps") or []:
            key = TEMPLATE.search(dep) if dep.endswith(".py") else None
            if key is None or "foreach" in body or "matrix" in body:
                continue
            path = project / fill(dep, values)
            if not path.exists():
                others = [other.stem for other in path.parent.glob("[a-z]*.py") if other.stem != "contract"]
                hint = " `headrace lint --fix` lists the file it is in." if ":" in path.stem else did_you_mean(path.stem, others)
                yield f"params.yaml: '{key.group(1)}' is '{path.stem}', but {fill(dep, values)} is not there.{hint}"


def _in_words(section: str, error: Any) -> str:
    key = ".".join([section, *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties":
        properties = error.schema.get("properties", {})
        unknown = [each for each in error.instance if each not in properties]
        return "\n".join(f"params.yaml: unknown key '{key}.{each}'.{did_you_mean(each, properties)}" for each in unknown)
    if error.validator in ("anyOf", "oneOf"):
        of_its_type = [each for each in error.context if each.validator != "type" or each.relative_path]
        if of_its_type and len({each.schema_path[0] for each in of_its_type}) == 1:  # that form is meant: say what is wrong in it
            return _in_words(section, of_its_type[0])
        return f"params.yaml: '{key}' is {_short(error.instance)}, which fits none of its forms. docs/reference has them."
    if isinstance(error.instance, date):
        return f"params.yaml: '{key}' is {error.instance.isoformat()}, which YAML takes for a time; write it in quotes."
    return f"params.yaml: '{key}': {error.message[:200]}."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "..."
