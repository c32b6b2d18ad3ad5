"""params.schema.json: generated from the typed sections, so that editors complete and check params.yaml."""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from headrace import plugins
from headrace.errors import ConfigError, ParamsError
from headrace.params import Section, parse_section, read_yaml
from headrace.project.needs import read_stages
from headrace.storage.local import write_text

NAME = "params.schema.json"

FLOW_SECTIONS = {
    "register": ("headrace.registry.versions", "RegisterParams"),
    "promote": ("headrace.registry.judgement", "PromoteParams"),
}
"""Sections of the steps after the DAG, and where each is typed."""

OPTIONS = (
    ("collect.record", "collect.task", "intake", "RecordOptions"),
    ("collect.options", "collect.format", "formats", "Options"),
    ("augment.policy", "collect.task", "augmentation", "Policy"),
    ("baseline.config", "collect.task", "baselines", "Config"),
    ("train.trainer_options", "train.trainer", "trainers", "Options"),
    ("train.encoding", "collect.task", "training", "EncodingOptions"),
    ("train.augmentation", "collect.task", "augmentation", "BatchPolicy"),
    ("train.prediction", "collect.task", "training", "PredictionOptions"),
    ("train.network_options", "train.network", "networks", "Options"),
    ("evaluate.options", "evaluate.evaluation", "evaluation", "Options"),
)
"""Keys that a task, format, network or evaluation types: the key, the key that names the module, its room and the class in it."""

NAMED = "x-options"
"""Where the schema has what OPTIONS says: {key: {"by": key, "of": {name: schema}}}; editors pass over it."""


def sections(project: Path) -> dict[str, type[Section]]:
    """The typed section of every stage that the runner runs, in the order of dvc.yaml, then of every flow step.

    Raises:
        ConfigError: a stage's module does not import or has no `Params`.
    """
    make_importable(project)
    found: dict[str, type[Section]] = {}
    for stage in read_stages(read_yaml(project / "dvc.yaml")):
        if stage.runner_module:
            found[stage.name] = _params_of(stage.runner_module)
    for name, (module, attribute) in FLOW_SECTIONS.items():
        found[name] = _params_of(module, attribute)
    return found


def section_of(project: Path, stage: str) -> type[Section] | None:
    """The typed section of one stage, without importing the others; None when dvc.yaml has no such stage."""
    make_importable(project)
    modules = {found.name: found.runner_module for found in read_stages(read_yaml(project / "dvc.yaml"))}
    return _params_of(modules[stage]) if modules.get(stage) else None


def make_importable(project: Path) -> None:
    """Let the project's own code be imported, as the stage runner does."""
    importlib.invalidate_caches()
    for folder in (project, project / "src"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def generate(typed: Mapping[str, type[Section]]) -> dict[str, Any]:
    """JSON schema of a whole params.yaml."""
    places, whole = models_json_schema(
        [(section, "validation") for section in typed.values()], title="params.yaml", description="Generated from the code."
    )
    properties = {name: places[section, "validation"] for name, section in typed.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **whole,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        NAMED: {
            key: {"by": by, "of": {name: found.model_json_schema() for name, found in typed_options(key, room, attribute)}}
            for key, by, room, attribute in OPTIONS
        },
    }


def typed_options(key: str, room: str, attribute: str) -> Iterator[tuple[str, type[Section]]]:
    """The modules of a room that type the options of a key, by name."""
    for name in plugins.names(room):
        found = getattr(plugins.resolve(room, name, None, where=key), attribute, None)
        if isinstance(found, type) and issubclass(found, Section):
            yield name, found


def render(typed: Mapping[str, type[Section]]) -> str:
    """params.schema.json as it is written."""
    return json.dumps(generate(typed), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def is_stale(project: Path, typed: Mapping[str, type[Section]]) -> bool:
    """Whether params.schema.json says something else than the typed sections."""
    path = project / NAME
    return not path.exists() or path.read_text(encoding="utf-8") != render(typed)


def write(project: Path) -> None:
    """Write params.schema.json."""
    write_text(project / NAME, render(sections(project)))


def problems(values: Any, name: str, section: type[Section]) -> list[str]:
    """What is wrong with the values of one section, one message each."""
    try:
        parse_section(values or {}, name, section, where="it")
    except ParamsError as error:
        return [line.removeprefix("it: ") for line in str(error).splitlines()]
    return []


def _params_of(module: str, attribute: str = "Params") -> type[Section]:
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ConfigError(f"{module} cannot be imported: {error}. Write the module, or remove its stage from dvc.yaml.") from None
    except AttributeError:
        advice = "docs/how-to/add-a-stage.md shows what a stage needs."
        raise ConfigError(f"{module} has no class {attribute}(Section). {advice}") from None
    if not (isinstance(found, type) and issubclass(found, Section)):
        raise ConfigError(f"{module}.{attribute} must be a subclass of headrace.params.Section.")
    return found
