"""Durations come from the monotonic clock: a clock that is set back in the night makes no negative ones, and no endless wait."""

import ast

import pytest
from tests.projects import REPOSITORY

COMPARES_WITH_FILES = {"src/headrace/flow/garbage.py", "src/headrace/sources/files.py"}
"""The age of a file is told by the clock that wrote its date."""


@pytest.mark.fault
def test_no_duration_is_a_difference_of_wall_clocks() -> None:
    """`time.time()` is for dates; what it costs to forget is a time limit that strikes an hour early."""
    found = set()
    for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "pipelines").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == "time"
                and isinstance(node.value, ast.Name)
                and node.value.id == "time"
            ):
                found.add(path.relative_to(REPOSITORY).as_posix())

    assert found <= COMPARES_WITH_FILES
