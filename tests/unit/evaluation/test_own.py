"""Metrics of the user's own."""

import numpy as np
import pytest

from headrace.errors import ParamsError
from headrace.evaluation.own import own_metrics

CODE = """
def right(*, labels, probabilities):
    return (probabilities.argmax(1) == labels).mean()

def nothing(*, labels, probabilities):
    return float("nan")

def broken(*, labels, probabilities):
    return labels["a"]
"""
KNOWN = {"labels": np.array([0, 1]), "probabilities": np.array([[0.9, 0.1], [0.8, 0.2]])}


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    (tmp_path / "own_metric_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_called_with_labels_and_probabilities():
    assert own_metrics({"share": "own_metric_code:right"}, {}, **KNOWN) == {"share": 0.5}


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"accuracy": "own_metric_code:right"}, "a metric of that name is there already"),
        ({"mine": "right"}, "is `module:function`"),
        ({"mine": "own_metric_code:rigth"}, "cannot be imported"),
        ({"mine": "own_metric_code:nothing"}, "gave nan"),
        ({"mine": "own_metric_code:broken"}, "failed with IndexError"),
    ],
)
def test_a_function_that_a_gate_could_not_hold_is_refused(named, message):
    """A NaN would pass or fail a threshold by accident."""
    with pytest.raises(ParamsError, match=message):
        own_metrics(named, {"accuracy": 0.5}, **KNOWN)
