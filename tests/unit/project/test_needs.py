import pytest

from headrace.errors import ConfigError
from headrace.project.needs import StageText, read_stages


@pytest.mark.parametrize(
    ("cmd", "module"),
    [
        ("python -m headrace.stages split --out x", "headrace.stages.split"),
        ("python -m headrace.stages shop.stages.clean --out x", "shop.stages.clean"),
        (["echo start", "python3  -m headrace.stages split"], "headrace.stages.split"),
        ("python -m shop.fit", ""),
        ("bash fit.sh", ""),
    ],
)
def test_the_command_says_which_module_runs(cmd, module):
    assert StageText("x", {"cmd": cmd}).runner_module == module


def test_the_body_of_a_foreach_stage_counts():
    """Each of its items runs the same code."""
    (stage,) = read_stages({"stages": {"fit": {"foreach": [1, 2], "do": {"cmd": "x", "deps": ["a", {"b": {}}]}}}})

    assert stage.deps == ["a", "b"]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("dag", "message"),
    [
        ({"stages": ["split"]}, "must be a mapping of names"),
        ({"stages": {"split": None}}, "stage 'split' has no cmd"),
        ({"stages": {"split": {"deps": []}}}, "stage 'split' has no cmd"),
        ({"stages": {"split": {"cmd": "x", "deps": "data"}}}, "'deps' of stage 'split' must be a list"),
    ],
)
def test_a_broken_dag_is_refused(dag, message):
    with pytest.raises(ConfigError, match=message):
        read_stages(dag)
