import json

import pytest

from headrace.errors import ConfigError
from headrace.params import Section
from headrace.project import schema


class Inner(Section):
    """How much."""

    rate: float = 0.5
    """A share."""


class Params(Section):
    """What can change."""

    inner: Inner = Inner()
    names: list[str]
    """Some names."""


class Twin(Section):
    """Another class."""


Twin.__name__ = "Params"


def test_the_schema_describes_the_whole_file():
    """An editor completes sections and keys, shows the line under each field, and marks what is unknown."""
    found = schema.generate({"train": Params, "split": Twin})
    train = found["$defs"][found["properties"]["train"]["$ref"].rpartition("/")[2]]

    assert list(found["properties"]) == ["train", "split"]
    assert found["additionalProperties"] is False
    assert train["properties"]["names"]["description"] == "Some names."
    assert train["additionalProperties"] is False
    assert train["required"] == ["names"]


def test_the_schema_is_the_same_each_time():
    assert schema.render({"train": Params}) == schema.render({"train": Params})
    assert json.loads(schema.render({"train": Params}))["title"] == "params.yaml"


def test_every_problem_of_a_section_is_told():
    assert schema.problems({"nams": []}, "train", Params) == [
        "'train.names' is missing.",
        "unknown key 'train.nams'. Did you mean 'names'?",
    ]
    assert schema.problems({"names": []}, "train", Params) == []


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("text", "message"), [("", "has no class Params"), ("Params = int\n", "must be a subclass"), ("import nope_x\n", "nope_x")]
)
def test_a_module_that_is_no_stage_is_named(write, text, message, request):
    name = f"schemed_{abs(hash(message))}"
    project = write(
        {f"src/{name}/clean.py": text, "dvc.yaml": f"stages:\n  clean:\n    cmd: python -m headrace.stages {name}.clean\n"}
    )

    with pytest.raises(ConfigError, match=message):
        schema.sections(project)
