"""A first look at a table with a number to predict: its range, what tells it, and a gate that an honest first model passes."""

import random
from pathlib import Path

import numpy as np
import pytest

from headrace.errors import DataError, ParamsError
from headrace.formats.record import SourceFile
from headrace.intake.tabular_regression import RecordOptions
from headrace.starting.contract import FirstLook, Request
from headrace.starting.tabular_regression import look


def table(rows: int = 300) -> list[dict[str, str]]:
    """Houses; what they cost depends on their area, and on luck."""
    drawn = random.Random(3)
    found = []
    for number in range(rows):
        area = drawn.uniform(40, 240)
        price = round(30_000 + 2_500 * area + drawn.gauss(0, 60_000))
        found.append(
            {
                "house": f"H-{number:04}",
                "area": f"{area:.1f}".replace(".", ","),
                "district": drawn.choice(["north", "south", ""]),
                "offer": str(price + drawn.randrange(500)),
                "floors": str(drawn.randrange(1, 4)),
                "price": str(price),
            }
        )
    return found


def looked(folder: Path, rows: list[dict[str, str]], *, label: str | None = "price", **options: str) -> FirstLook:
    path = folder / "houses.csv"
    path.write_text("\n".join(";".join(line) for line in [list(rows[0]), *(list(row.values()) for row in rows)]) + "\n")
    return look(Request(path, [SourceFile(path.name, path, "houses")], label=label, **options))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> FirstLook:
    return looked(tmp_path_factory.mktemp("table"), table())


def columns(look: FirstLook) -> dict[str, dict]:
    return look.collect["record"]["columns"]


def checks(look: FirstLook) -> str:
    return "\n".join(look.checks)


def test_the_number_is_a_column_among_the_others(found):
    """Typed and with limits as they are; no class is named anywhere."""
    kinds = {name: column["kind"] for name, column in columns(found).items()}

    assert kinds == {
        "house": "id",
        "area": "numeric",
        "district": "categorical",
        "offer": "ignore",
        "floors": "numeric",
        "price": "target",
    }
    assert found.collect["options"] == {"delimiter": ";", "label": None}
    assert "classes" not in found.collect
    RecordOptions.model_validate(found.collect["record"])


def test_its_limits_leave_room_and_say_what_they_were_taken_from(found):
    prices = [int(row["price"]) for row in table()]

    assert columns(found)["price"]["min"] <= min(prices) / 2
    assert columns(found)["price"]["max"] >= 2 * max(prices)
    assert found.remarks["price"].startswith(f"to predict: {min(prices):,} to {max(prices):,}, ")


def test_every_rule_says_what_it_was_taken_from(found):
    taken = {rule.body["expectation"]: rule.taken_from for rule in found.rules}

    assert taken["expect_table_row_count_to_be_between"] == "These are 300."
    assert taken["expect_column_unique_value_count_to_be_between"].endswith("different values in these records.")
    assert taken["expect_column_values_to_be_in_set"] == "0 of 300 records could not be read."


def test_the_first_gate_is_better_than_guessing_and_within_chance_of_the_best_baseline(found):
    """In the unit of the target, as everything that is said of it."""
    prices = np.array([int(row["price"]) for row in table()])
    guessed = np.abs(prices - np.median(prices)).mean()
    limit, why = found.changes["evaluate.thresholds.max_mae"]

    assert 0.8 * guessed < limit < 0.95 * guessed
    assert why.startswith("always saying ")
    assert 0.02 * guessed < found.changes["evaluate.max_regression"][0] < 0.5 * guessed
    assert found.changes["package.tolerance"][0] == pytest.approx(1e-5 * prices.max(), rel=0.1)


@pytest.mark.parametrize("records", [200, 1000, 8000])
def test_a_model_as_good_as_the_best_baseline_passes(tmp_path, records):
    """The bound of the paired interval is judged: chance must not refuse a sound model more than once in 20 times."""
    rows = [{name: row[name] for name in ("area", "floors", "price")} for row in table(records)]
    margin = looked(tmp_path, rows).changes["evaluate.max_regression"][0]
    drawn, test = np.random.default_rng(1), records // 4
    shared = drawn.normal(0, 60_000, size=(500, test))
    own, other = (np.abs(shared + drawn.normal(0, 25_000, size=shared.shape)) for _ in range(2))
    differences = own - other
    upper = differences.mean(1) + 1.96 * differences.std(1) / np.sqrt(test)

    assert (upper > margin).mean() < 0.07


@pytest.mark.badinput
def test_a_column_that_tells_the_number_alone_is_left_out_and_named(found):
    assert "offer predicts price alone" in checks(found)
    assert "its variance is told" in found.remarks["offer"]


@pytest.mark.badinput
def test_rows_without_the_number_are_counted_and_let_through_to_quarantine(tmp_path):
    rows = [
        {**row, "price": ["", "on request"][number % 2] if number < 10 else row["price"]} for number, row in enumerate(table())
    ]
    found = looked(tmp_path, rows)

    assert "5 of 300 rows have no price" in checks(found)
    assert "price: 5 cells are no numbers (on request (5))" in checks(found)
    assert found.changes["validate.max_bad_fraction"][0] == 0.05


@pytest.mark.badinput
def test_a_number_far_from_all_others_is_asked_about(tmp_path):
    """A price in cents among prices in euros."""
    rows = [{**row, "price": "90000000"} if number == 7 else row for number, row in enumerate(table())]

    assert "Is the largest right?" in checks(looked(tmp_path, rows))


@pytest.mark.badinput
def test_a_few_numbers_are_asked_to_be_classes(tmp_path):
    assert "floors has 3 values only" in checks(looked(tmp_path, table(), label="floors"))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("label", "kind", "message"),
    [
        ("district", DataError, "type --task tabular."),
        ("house", DataError, "holds no different numbers"),
        (None, ParamsError, "Likely: --label "),
        ("prize", ParamsError, "Did you mean 'price'?"),
    ],
)
def test_a_target_that_is_no_number_is_refused_with_what_to_type(tmp_path, label, kind, message):
    with pytest.raises(kind) as caught:
        looked(tmp_path, table(), label=label)

    assert message in str(caught.value)


@pytest.mark.badinput
def test_numbers_with_signs_around_them_are_named(tmp_path):
    rows = [{**row, "price": f"${int(row['price']):,}"} for row in table()]

    with pytest.raises(DataError, match="Write plain numbers"):
        looked(tmp_path, rows)


@pytest.mark.badinput
def test_too_few_records_are_refused(tmp_path):
    with pytest.raises(DataError, match="fewer than 20 cannot be split"):
        looked(tmp_path, table(19))


def test_a_column_that_says_train_or_test_is_no_feature(tmp_path):
    rows = [{**row, "part": ["test", "validation", "train"][min(number % 5, 2)]} for number, row in enumerate(table())]
    found = looked(tmp_path, rows, split="part")

    assert "part" not in columns(found)
    assert found.collect["options"]["split"] == "part"
    assert found.changes["split.validation"][0] == 0


@pytest.mark.badinput
def test_the_number_does_not_name_the_splits(tmp_path):
    with pytest.raises(DataError, match="--label and --split both name column 'price'"):
        looked(tmp_path, table(), split="price")
