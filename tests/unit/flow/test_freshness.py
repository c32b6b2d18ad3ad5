import os
from pathlib import Path

import pytest

from headrace.flow import freshness


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part").write_text("1")
    return tmp_path


def _remember(project: Path) -> Path:
    local = project / ".headrace"
    inputs = freshness.marks([project / "src", project / "absent.yaml"])
    freshness.remember(local, inputs=inputs, outputs=[project / "out"], context={"store": "x"}, stages=8)
    return local


def test_nothing_touched_is_fresh(project: Path) -> None:
    """The answer of a run with nothing to do."""
    local = _remember(project)

    assert freshness.fresh_stages(local, {"store": "x"}) == 8


@pytest.mark.parametrize("what", ["edited", "added", "removed", "appeared", "output", "cache folder"])
def test_what_changes_a_result_is_seen(project: Path, what: str) -> None:
    """Any doubt must be answered by DVC; a compiled file changes nothing."""
    local = _remember(project)
    match what:
        case "edited":
            (project / "src" / "a.py").write_text("a = 2\n")
        case "added":
            (project / "src" / "b.py").write_text("")
        case "removed":
            (project / "src" / "a.py").unlink()
        case "appeared":
            (project / "absent.yaml").write_text("")
        case "output":
            os.utime(project / "out" / "part", (1, 1))
        case "cache folder":
            (project / "src" / "__pycache__").mkdir()
            (project / "src" / "__pycache__" / "a.pyc").write_text("")

    assert freshness.fresh_stages(local, {"store": "x"}) == (8 if what == "cache folder" else None)


def test_another_store_is_not_fresh(project: Path) -> None:
    """The same data in front of another registry still have to be registered there."""
    local = _remember(project)

    assert freshness.fresh_stages(local, {"store": "y"}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"inputs": 3}'])
def test_a_damaged_record_means_ask_dvc(project: Path, text: str) -> None:
    """A half-written or foreign file is no answer."""
    local = _remember(project)
    (local / freshness.NAME).write_text(text)

    assert freshness.fresh_stages(local, {"store": "x"}) is None
