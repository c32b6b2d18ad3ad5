"""A first look at somebody's table: what each column is taken for, and what is asked."""

import random
from pathlib import Path

import pytest

from headrace.errors import DataError, ParamsError
from headrace.formats.record import SourceFile
from headrace.intake.tabular import RecordOptions
from headrace.starting.contract import FirstLook, Request
from headrace.starting.tabular import look


def table(rows: int = 200) -> list[dict[str, str]]:
    """Customers of a shop in Europe; who pays much leaves."""
    drawn = random.Random(3)
    found = []
    for number in range(rows):
        fee = drawn.uniform(5, 3000)
        found.append(
            {
                "customer": f"C-{number:04}",
                "joined": f"{drawn.randrange(1, 29):02}.{drawn.randrange(1, 13):02}.2023",
                "fee": f"{fee:,.2f}".replace(",", " ").replace(".", ",").replace(" ", "."),
                "plan": drawn.choice(["basic", "full", "rare"]),
                "region": drawn.choice(["", "North", "South", "North"]),
                "age": str(drawn.randrange(18, 90)),
                "store_id": str(drawn.randrange(30)),
                "currency": "EUR",
                "fax": "",
                "churn": "yes" if (fee > 1500) != (drawn.random() < 0.1) else "no",
            }
        )
    return found


def looked(folder: Path, rows: list[dict[str, str]], *, label: str | None = "churn", **options: str) -> FirstLook:
    path = folder / "customers.csv"
    path.write_text("\n".join(";".join(line) for line in [list(rows[0]), *(list(row.values()) for row in rows)]) + "\n")
    return look(Request(path, [SourceFile(path.name, path, "customers")], label=label, **options))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> FirstLook:
    return looked(tmp_path_factory.mktemp("table"), table())


def columns(look: FirstLook) -> dict[str, dict]:
    return look.collect["record"]["columns"]


def checks(look: FirstLook) -> str:
    return "\n".join(look.checks)


def test_every_column_gets_the_kind_that_a_person_would_give_it(found):
    """Ordered categories and sensitive ones are asked for, not guessed."""
    kinds = {name: column["kind"] for name, column in columns(found).items()}

    assert kinds == {
        "customer": "id",
        "joined": "date",
        "fee": "numeric",
        "plan": "categorical",
        "region": "categorical",
        "age": "numeric",
        "store_id": "group",
        "currency": "ignore",
        "fax": "ignore",
    }


def test_cells_are_read_as_they_are_written(found):
    """Semicolons, decimal commas and days first: nobody has to convert a file."""
    assert found.collect["options"] == {"delimiter": ";", "label": "churn"}
    assert columns(found)["joined"]["written"] == "%d.%m.%Y"
    assert columns(found)["fee"]["decimal"] == ","


def test_limits_leave_room_and_say_what_they_were_taken_from(found):
    """Half the smallest to twice the largest: next month's rows pass, a misplaced comma does not."""
    age = columns(found)["age"]

    assert (age["min"], age["max"]) == (9, 180)
    assert found.remarks["age"].startswith("19 to 89, ")


def test_allowed_values_and_missing_shares_are_those_of_the_data(found):
    region = columns(found)["region"]

    assert region["values"] == ["North", "South"]
    assert 0.2 < region["max_missing"] <= 0.5
    assert "of 200 are missing" in found.remarks["region"]
    assert "max_missing" not in columns(found)["plan"]


def test_what_the_cells_cannot_answer_is_asked(found):
    for question in (
        "store_id: do rows with one of these belong together?",
        "age: about people?",
        "plan: do the values have an order?",
    ):
        assert question in checks(found)
    assert "currency, fax: the same in every row, left out" in checks(found)


def test_the_schema_is_one_that_collect_takes(found):
    """And today's rows are all read by it."""
    RecordOptions.model_validate(found.collect["record"])

    assert "cannot be read" not in checks(found)


@pytest.mark.badinput
def test_a_column_that_tells_the_label_alone_is_left_out_and_named(tmp_path):
    """Also when it is only there once the answer is known, as the date of a refund is."""
    rows = [{**row, "refund": "2024-01-31" if row["churn"] == "yes" else ""} for row in table()]
    found = looked(tmp_path, rows)

    assert columns(found)["refund"] == {"kind": "ignore"}
    assert "refund predicts churn alone" in checks(found)


@pytest.mark.badinput
def test_rows_without_a_label_go_to_quarantine_and_are_counted(tmp_path):
    rows = [{**row, "churn": ["", "NA"][number % 2] if number < 10 else row["churn"]} for number, row in enumerate(table())]
    found = looked(tmp_path, rows)

    assert found.collect["classes"] == ["no", "yes"]
    assert "no label (5)" in checks(found)
    assert "5 rows have 'NA' for a label" in checks(found)
    assert found.changes["validate.max_bad_fraction"][0] == 0.1


@pytest.mark.badinput
def test_a_sign_of_nothing_that_is_not_always_one_is_written_down(tmp_path):
    """The '?' of many public tables."""
    rows = [{**row, "age": "?" if number % 20 == 0 else row["age"]} for number, row in enumerate(table())]
    found = looked(tmp_path, rows)

    assert columns(found)["age"]["kind"] == "numeric"
    assert "?" in found.collect["record"]["missing_values"]


@pytest.mark.badinput
def test_cells_that_are_no_numbers_are_named(tmp_path):
    rows = [{**row, "fee": "on request" if number in (5, 7) else row["fee"]} for number, row in enumerate(table())]

    assert "fee: 2 cells are no numbers (on request (2))" in checks(looked(tmp_path, rows))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("label", "kind", "message"),
    [
        ("fee", DataError, "type --task tabular-regression"),
        ("customer", DataError, "a value of its own in each of its 200 rows"),
        ("currency", DataError, "a classifier needs two classes"),
        (None, ParamsError, "--label is missing"),
        ("chrun", ParamsError, "Did you mean 'churn'?"),
    ],
)
def test_a_label_that_cannot_be_learnt_is_refused_with_a_reason(tmp_path, label, kind, message):
    with pytest.raises(kind) as caught:
        looked(tmp_path, table(), label=label)

    assert message in str(caught.value)


@pytest.mark.badinput
def test_a_table_without_anything_to_learn_from_is_refused(tmp_path):
    rows = [{"customer": row["customer"], "churn": row["churn"]} for row in table()]

    with pytest.raises(DataError, match="no column that a model could learn from"):
        looked(tmp_path, rows)


def test_a_column_that_says_train_or_test_is_no_feature(tmp_path):
    rows = [{**row, "part": "test" if number % 5 == 0 else "train"} for number, row in enumerate(table())]
    found = looked(tmp_path, rows, split="part")

    assert "part" not in columns(found)
    assert found.collect["options"]["split"] == "part"
