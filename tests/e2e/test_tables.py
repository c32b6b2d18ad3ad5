"""The recipes of tables on their real rows."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import Checkout, clone

from headrace.evaluation.report import build

TITANIC = ("tabular-titanic", "titanic.csv")
TELCO = ("tabular-telco-churn", "Telco-Customer-Churn.csv")
CUSTOMERS = 1500
BLANK = 11


def use(made: Checkout, recipe: str) -> Checkout:
    """The recipe with the rows beside the checkout."""
    made.headrace("recipe", "use", recipe)
    made.set_param("collect", sources=[{"kind": "files", "name": "rows", "paths": ["../rows"]}])
    made.headrace("sources", "refresh")
    return made


def test_titanic_runs_whole(tmp_path, origin, shared_data):
    """All 891 passengers; 177 ages and 687 cabins are missing, tickets stay together, and the interval is as wide as it is."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "titanic.csv").write_bytes(shared_data.joinpath(*TITANIC).read_bytes())
    made = use(clone(origin, tmp_path / "titanic", tmp_path / "home"), "titanic")

    made.run("dvc", "repro")

    evaluated = made.report("evaluate")
    assert {"age is missing: 177 of 891 records", "cabin is missing: 687 of 891 records"} <= set(
        made.report("validate")["warnings"]
    )
    assert made.report("split")["by"] == "group"
    assert evaluated["metrics"]["roc_auc_macro"] > 0.75
    assert evaluated["score_high"] - evaluated["score_low"] > 0.05


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str, shared_data: Path
) -> Callable[[str], Checkout]:
    """`checkout(name)`: a clone with churn's recipe and some of its rows, with a cache of its own; nothing has run in it yet."""
    top = tmp_path_factory.mktemp("churn")
    with shared_data.joinpath(*TELCO).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    paid = header.index("TotalCharges")
    blank = [row for row in rows if row[paid] == " "]
    assert len(blank) == BLANK
    (top / "rows").mkdir()
    with (top / "rows" / "customers.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *blank, *[row for row in rows if row[paid] != " "][: CUSTOMERS - BLANK]])

    def make(name: str) -> Checkout:
        made = use(clone(origin, top / name, top / f"home-{name}", PREFECT_API_URL=prefect_server), "churn")
        made.set_param("evaluate", thresholds={"min_roc_auc_macro": 0.75}, max_regression=0.2)
        return made

    return make


@pytest.fixture(scope="module")
def operator(checkout: Callable[[str], Checkout]) -> Checkout:
    """It went through `headrace run`."""
    made = checkout("operator")
    made.headrace("run")
    return made


@pytest.mark.slow
def test_both_doors_leave_the_same_lock(checkout, operator):
    """Entry for entry, with trees as with networks: what DVC hashes is a function of the inputs."""
    engineer = checkout("engineer")
    engineer.run("dvc", "repro")

    assert engineer.lock() == operator.lock()


def test_the_blank_cells_of_churn_are_found(operator):
    """Pandas keeps them as a space, and the column as text."""
    validated = operator.report("validate")

    assert f"TotalCharges is missing: {BLANK} of {CUSTOMERS:,} records" in validated["warnings"]
    assert validated["quarantined"] == 0


def test_boosted_trees_are_judged_registered_and_shown(operator):
    """Gate, registry, promotion and page know no trainer; what a network would have and trees do not, the page leaves out."""
    trained = operator.report("train")
    page = (operator.folder / "reports" / "report.html").read_text(encoding="utf-8")

    assert "gradient_boosted_trees" in trained["headline"]
    assert operator.report("evaluate")["verdict"]["allowed"]
    assert operator.report("promotion")["decision"] == "promoted"
    assert "The model relies on" in page
    assert "fitted numbers" in page
    assert "epoch" not in page


def test_diabetes_runs_whole(tmp_path, origin):
    """A number to predict, offline: better than the mean by far, in its own unit, with a page that says so."""
    made = clone(origin, tmp_path / "diabetes", tmp_path / "home")
    made.headrace("recipe", "use", "diabetes")

    made.run("dvc", "repro")

    evaluated = made.report("evaluate")
    trivial = next(row for row in evaluated["comparison"] if row["model"] == "mean")
    page = build(made.folder)
    assert trivial["difference_low"] > 0
    assert evaluated["verdict"]["allowed"]
    assert evaluated["score"] == "negative_mae"
    assert "train.trainer" not in " ".join(evaluated["verdict"]["reasons"])  # no trainer of trees predicts a number
    assert f"mean absolute error {evaluated['metrics']['mae']:#.4g}" in page
    assert "Progression as predicted and as it is" in page
    assert "NaN" not in page
