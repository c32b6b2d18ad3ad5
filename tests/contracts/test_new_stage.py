"""`headrace stage new` in a copy of this project."""

from pathlib import Path

import pytest
from tests.projects import Checkout, make_origin


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy whose own headrace is imported."""
    folder = make_origin(tmp_path / "project")
    return Checkout(folder, tmp_path / "home", {"PYTHONPATH": str(folder / "src")})


def test_a_new_stage_runs_and_passes_the_contracts_at_once(checkout):
    """No edit by hand, none in pipelines/: the DAG, the lint and the stage's own test take it as it is."""
    checkout.headrace("stage", "new", "inventory", "--after", "collect")

    checkout.headrace("lint")
    checkout.run("python", "-m", "pytest", "-q", "tests/unit/stages/test_inventory.py")
    checkout.headrace("setup")
    checkout.run("dvc", "repro", "inventory")

    assert (checkout.folder / "reports/inventory.json").exists()
    assert "pipelines" not in checkout.run("git", "status", "--porcelain").stdout
