"""What the cells of one column hold."""

import pytest

from headrace.starting.cells import as_number, describe


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["12", "7.5", "-3"], "number"),
        ([1, 2, None], "number"),
        (["2024-01-31", "2025-12-01"], "date"),
        (["31.01.2024", "01.12.2025"], "date"),
        (["yes", "no", "yes", "no"], "category"),
        (["same", "same"], "constant"),
        (["", " ", None], "empty"),
        ([f"C-{number:04}" for number in range(40)], "id"),
        ([float(number) for number in range(40)], "id"),
        ([number + 0.5 for number in range(40)], "number"),
        ([f"the film number {number} was fine" for number in range(90)], "text"),
    ],
)
def test_the_kind_of_a_column_is_what_a_person_would_say(values, kind):
    """A wrong guess becomes a wrong first suite."""
    assert describe("x", values).kind == kind


def test_blanks_count_as_missing():
    """Telco churn has eleven ' ' among its numbers."""
    column = describe("charges", ["29.85", " ", "", None, "56.95"])

    assert (column.kind, column.missing, column.smallest, column.largest) == ("number", 3, 29.85, 56.95)


def test_categories_are_counted_most_frequent_first():
    assert describe("stars", ["b", "a", "b"]).counts == {"b": 2, "a": 1}


def test_signs_of_nothing_are_missing_where_they_are_named():
    """Without them a column of numbers with 'NA' in it would be one of texts."""
    column = describe("age", ["22", "NA", "38", "?"], nothing=("NA", "?"))

    assert (column.kind, column.missing, column.largest) == ("number", 2, 38)


@pytest.mark.badinput
def test_a_few_typing_errors_leave_a_column_of_numbers_what_it_is():
    """They are named; one 'abc' must not make a category of an amount."""
    column = describe("amount", [*(str(number / 7) for number in range(200)), "abc", "12O"])

    assert (column.kind, column.strange) == ("number", {"abc": 1, "12O": 1})


@pytest.mark.parametrize(
    ("text", "number"), [("1.234,50", 1234.5), ("0,5", 0.5), ("-7", -7.0), ("1.5", None), ("12.34,5", None), ("1,234.5", None)]
)
def test_a_decimal_comma_is_read_strictly(text, number):
    """1.5 may be one and a half or fifteen: it is not guessed at."""
    assert as_number(text, ",") == number


def test_decimal_commas_are_found():
    assert describe("fee", ["1.234,50", "12,5", "7"]).decimal == ","


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["2024-01-31"], None),
        (["2024-01-31T12:00:00+01:00"], None),
        (["2024-01-31 12:30:00"], "%Y-%m-%d %H:%M:%S"),
        (["31.01.2024", "01.12.2025"], "%d.%m.%Y"),
        (["01/31/2024", "12/01/2025"], "%m/%d/%Y"),
    ],
)
def test_how_dates_are_written_is_found(values, written):
    """None is what `collect` reads as it is."""
    column = describe("when", values)

    assert (column.kind, column.written) == ("date", written)


def test_dates_that_each_occur_once_are_dates():
    """Not the numbers of records."""
    assert describe("day", [f"2024-01-{day:02}" for day in range(1, 29)]).kind == "date"


def test_codes_with_leading_zeros_are_no_numbers():
    """A postcode loses its zero as a number."""
    assert describe("zip", ["01067", "10115", "01067", "10115"]).kind == "category"


def test_numbers_with_signs_around_them_are_told():
    assert describe("price", [f"${number:,}" for number in range(1000, 1100)]).decorated == "$1,000"
