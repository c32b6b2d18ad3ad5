import json
from pathlib import Path

import pytest

from headrace.flow.launcher import Plan, Stage
from headrace.flow.space import SOURCES, shortage

HUGE = 10**18


def plan(project: Path, *, size: int) -> Plan:
    """One stage that reads the sources."""
    stage = Stage("collect", (), {}, (project / SOURCES,), (), (), is_locked=size > 0, size=size)
    return Plan((stage,), has_remote=False)


def lock(project: Path, text: str) -> None:
    """A data/sources.lock."""
    (project / "data").mkdir()
    (project / SOURCES).write_text(text)


def test_a_stage_needs_what_it_wrote_the_last_time(tmp_path: Path) -> None:
    """Nothing else is known of it; a stage that will not run needs nothing."""
    assert f"{tmp_path} has" in shortage(plan(tmp_path, size=HUGE), {"collect"}, tmp_path, tmp_path)
    assert not shortage(plan(tmp_path, size=HUGE), set(), tmp_path, tmp_path)
    assert not shortage(plan(tmp_path, size=1), {"collect"}, tmp_path, tmp_path / "not made yet")


def test_a_first_run_needs_its_sources(tmp_path: Path) -> None:
    """A download of a terabyte is known to be one."""
    lock(tmp_path, json.dumps({"sources": [{"files": [{"size": HUGE}, {"size": HUGE}]}]}))

    assert f"need about {2 * HUGE / 1e6:,.1f} MB" in shortage(plan(tmp_path, size=0), {"collect"}, tmp_path, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"sources": [{"files": [{"size": "much"}]}]}'])
def test_a_broken_list_of_sources_is_left_to_the_stage_that_reads_it(tmp_path: Path, text: str) -> None:
    """Its message says what is wrong and where."""
    lock(tmp_path, text)

    assert not shortage(plan(tmp_path, size=0), {"collect"}, tmp_path, tmp_path)
