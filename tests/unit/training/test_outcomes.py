"""Targets that cannot be learnt from are refused by name; answers are judged in the target's own measure."""

from pathlib import Path

import numpy as np
import pytest

from headrace.errors import DataError
from headrace.tasks import tabular, tabular_regression
from headrace.training.outcomes import Classes, Numbers, outcome_of

FOLDER = [Path("splits/train")]


def test_the_task_says_whether_a_class_or_a_number_is_learnt():
    assert isinstance(outcome_of(tabular, ["a", "b"], np.array([0, 1, 1]), FOLDER), Classes)
    assert outcome_of(tabular_regression, [], np.array([1.0, 3.0]), FOLDER) == Numbers(2.0, 1.0)


def test_the_loss_of_numbers_does_not_know_their_unit():
    """Always the mean: 1, for prices and for shares, as a network's loss has it."""
    for unit in (1.0, 1e6):
        targets = unit * np.array([1.0, 2.0, 6.0])
        loss, accuracy = Numbers.of(targets).measure(np.full((3, 1), targets.mean()), targets)
        assert loss == pytest.approx(1)
        assert accuracy is None


@pytest.mark.badinput
@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_a_target_that_is_no_number_is_refused(wild):
    """Whoever wrote the splits."""
    with pytest.raises(DataError, match="1 records have a target that is missing or not finite"):
        Numbers(0.0, 1.0).check(np.array([1.0, wild]), FOLDER)


@pytest.mark.badinput
def test_labels_outside_of_the_classes_are_refused():
    with pytest.raises(DataError, match="label 2, outside the 2 classes"):
        outcome_of(tabular, ["a", "b"], np.array([0, 2]), FOLDER)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("task", "classes", "targets", "message"),
    [
        (tabular, ["a", "b"], np.array([1, 1]), "all belong to class 'b'"),
        (tabular_regression, [], np.array([7.0, 7.0]), "have the target 7"),
        (tabular, ["a", "b"], np.zeros(0, np.int64), "no records"),
        (tabular_regression, [], np.zeros(0), "no records"),
    ],
)
def test_nothing_is_learnt_from_no_difference(task, classes, targets, message):
    with pytest.raises(DataError, match=message):
        outcome_of(task, classes, targets, FOLDER)
