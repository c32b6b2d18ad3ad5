"""New data that are not as the accepted ones, through both doors, and how they become the accepted ones."""

import json
from pathlib import Path

import pytest
from tests.projects import Checkout

WORDS = ("fine", "dull")


def write_reviews(path: Path, *, columns: str, city: str = ",Rome") -> None:
    rows = [f"a {WORDS[row % 2]} film of number {row},{5 - 4 * (row % 2)}{city}" for row in range(40)]
    path.write_text("\n".join([columns, *rows]) + "\n")


@pytest.fixture
def checkout(new_clone, tmp_path) -> Checkout:
    """A project with reviews of a shop, accepted as they are."""
    made: Checkout = new_clone("clone")
    made.headrace("recipe", "use", "news")
    write_reviews(made.folder / "reviews.csv", columns="body,stars,city")
    made.set_param(
        "collect",
        format="csv",
        options={"payload": "body", "label": "stars"},
        classes=[1, 5],
        sources=[{"kind": "files", "name": "shop", "paths": ["reviews.csv"]}],
    )
    made.headrace("sources", "refresh")
    made.headrace("run", "--stage", "collect")
    made.headrace("suite", "update", "--write")
    return made


def test_a_column_that_is_gone_stops_both_doors_until_it_is_accepted(checkout):
    """The accepted data are a file in git that `validate` depends on: no memory of an earlier run decides."""
    assert "nothing to propose" in checkout.headrace("suite", "update").stdout
    write_reviews(checkout.folder / "reviews.csv", columns="body,stars", city="")
    checkout.headrace("sources", "refresh")

    by_hand = checkout.run("dvc", "repro", "validate", code=255)
    flow = checkout.headrace("run", "--stage", "validate", code=6)

    told = "column 'city' of source 'shop' is gone (accepted as text) (validate.changes.columns_removed: fail)"
    assert told in by_hand.stderr
    assert told in flow.stderr

    proposal = checkout.headrace("suite", "update").stdout
    assert "--- a/expectations/accepted.json\n+++ b/expectations/accepted.json\n" in proposal
    assert '-    "shop": {\n' not in proposal
    assert '-      "city": "text",\n' in proposal
    checkout.headrace("suite", "update", "--write")
    checkout.run("dvc", "repro", "validate")
    lock = checkout.lock()
    assert checkout.states("--stage", "validate", "--force")["validate"] == "ran"

    report = json.loads((checkout.folder / "reports" / "validate.json").read_text())
    assert checkout.lock() == lock
    assert (report["changes"], report["compared"]) == ([], "40 accepted records of shop")
