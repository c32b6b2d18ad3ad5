"""The table of baselines that can be the candidate, held against the rooms."""

import importlib

from headrace import plugins
from headrace.evaluation.trainable import TRAINERS


def baselines() -> set[str]:
    found: set[str] = set()
    for name in plugins.names("baselines"):
        found.update(getattr(importlib.import_module(f"headrace.baselines.{name}"), "NAMES", ()))
    return found


def test_every_line_names_a_baseline_and_a_trainer_that_exist():
    """The gate tells people to type it."""
    assert set(TRAINERS) <= baselines()
    assert set(TRAINERS.values()) <= set(plugins.names("trainers"))


def test_a_trainer_of_a_baselines_name_is_in_the_table():
    """One that was forgotten would never be preferred."""
    assert baselines() & set(plugins.names("trainers")) <= set(TRAINERS)
