import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from headrace.errors import ConfigError
from headrace.project import dagedit

DAG = """# head
stages:
  first:   # one
    cmd: >-
      python -m headrace.stages first
      --in x
    deps: [data/x, src/b.py]
    params: [first, environment.json: [torch]]
    outs: [o]

  # about second
  second:
    cmd: python -m headrace.stages second
    deps:
      # why x
      - data/x
      - src/z.py   # zed
      # the network
      - src/${a.b}.py
    params:
      - second
      - environment.json:
          - torch
          - numpy
    meta: {timeout_s: 3}
plots:
  - p
"""


def stage(text, name):
    return YAML(typ="safe").load(text)["stages"][name]


def test_comments_follow_their_item():
    changed = dagedit.set_deps(DAG, "second", ["data/x", "src/${a.b}.py", "src/a.py", "src/z.py"])

    assert (
        """
    deps:
      # why x
      - data/x
      # the network
      - src/${a.b}.py
      - src/a.py
      - src/z.py  # zed
    params:
"""
        in changed
    )


def test_everything_else_stays_byte_for_byte():
    """Layout is the author's."""
    changed = dagedit.set_deps(DAG, "first", ["data/x", "src/c.py"])

    assert changed == DAG.replace("[data/x, src/b.py]", "[data/x, src/c.py]")


def test_a_template_is_never_written_into_a_flow_list():
    """There its braces would open a mapping."""
    changed = dagedit.set_deps(DAG, "first", ["src/${a.b}.py"])

    assert stage(changed, "first")["deps"] == ["src/${a.b}.py"]


@pytest.mark.parametrize("name", ["first", "second"])
def test_environment_keys_are_replaced_whole(name):
    changed = dagedit.set_params(DAG, name, name, ["numpy", "pillow"])

    assert stage(changed, name)["params"] == [name, {"environment.json": ["numpy", "pillow"]}]
    assert stage(changed, "first")["outs"] == ["o"]


@pytest.mark.parametrize("cmd", ["x", ">-\n      x", '"x"'])
def test_lists_that_are_missing_are_added_below_the_command(cmd):
    text = f"stages:\n  a:\n    cmd: {cmd}\n    outs: [o]\n"
    changed = dagedit.set_params(dagedit.set_deps(text, "a", ["src/a.py"]), "a", "a", ["torch"])

    assert stage(changed, "a") == {
        "cmd": "x",
        "deps": ["src/a.py"],
        "params": ["a", {"environment.json": ["torch"]}],
        "outs": ["o"],
    }


def test_a_list_without_items_is_removed():
    assert "deps" not in stage(dagedit.set_deps(DAG, "first", []), "first")


@pytest.mark.parametrize("after", ["first", "second"])
def test_a_stage_is_inserted_below_another(after):
    changed = dagedit.insert_stage(DAG, "new:\n  cmd: y\n  outs: [n]\n", after=after)

    assert stage(changed, "new") == {"cmd": "y", "outs": ["n"]}
    assert stage(changed, "second") == stage(DAG, "second")
    assert YAML(typ="safe").load(changed)["plots"] == ["p"]


@pytest.mark.parametrize("gap", ["\n", "\n\n"], ids=["dense", "spaced"])
@pytest.mark.parametrize("after", ["a", "b"])
def test_a_new_stage_is_set_apart_as_the_others_are(gap, after):
    """One stage with an empty line above and none below looks like a mistake."""
    stages = {"a": "  a:\n    cmd: x", "b": "  b:\n    cmd: y"}
    text = "stages:\n" + gap.join(stages.values()) + "\n\nplots: [p]\n"
    changed = dagedit.insert_stage(text, "new:\n  cmd: z\n", after=after)
    stages |= {"new": "  new:\n    cmd: z"}
    order = ["a", "new", "b"] if after == "a" else ["a", "b", "new"]

    assert changed == "stages:\n" + gap.join(stages[name] for name in order) + "\n\nplots: [p]\n"


def test_a_stage_in_one_line_is_refused():
    with pytest.raises(ConfigError, match="one key a line"):
        dagedit.set_deps("stages:\n  a: {cmd: x}\n", "a", ["src/a.py"])


PATHS = st.lists(st.from_regex(r"(data|src)/[a-z_]{1,30}(\$\{a\.b\})?(\.py)?", fullmatch=True), unique=True, max_size=12)


@given(deps=PATHS, name=st.sampled_from(["first", "second"]))
def test_what_is_written_is_read_back(deps, name):
    """Whatever the list, YAML reads it as given, and nothing else changes."""
    changed = dagedit.set_deps(DAG, name, deps)
    wanted = YAML(typ="safe").load(DAG)
    wanted["stages"][name].pop("deps")
    if deps:
        wanted["stages"][name]["deps"] = deps

    assert YAML(typ="safe").load(changed) == wanted
