"""Cells as they come in, typed, and what is wrong with them."""

import gzip

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.unit.tables import CLASSES, as_csv, customers, options, read_csv

from headrace.errors import DataError, FormatError
from headrace.formats.record import RawRecord
from headrace.intake import _rows as intake

LABELS = {name: number for number, name in enumerate(CLASSES)}


def made(tmp_path, rows, **columns):
    """The rows of a CSV file at rest."""
    settled = intake.settle(options(**columns), raws := read_csv(tmp_path, as_csv(rows)))
    return intake.make_rows(raws, LABELS, settled)


def one(tmp_path, **cells):
    """The first of two rows, with other cells."""
    first, second = customers(2, seed=5)
    return made(tmp_path, [{**first, **cells}, second]).to_pylist()[0]


def test_columns_rest_as_their_types(tmp_path):
    """Numbers as floats, dates as moments, the rest as names; what is ignored is gone, a name of ours gets an underscore."""
    table = made(tmp_path, customers(20))

    assert table.schema.field("fee").type == pa.float64()
    assert table.schema.field("since").type == pa.timestamp("us", "UTC")
    assert table.schema.field("source_").type == pa.string()
    assert set(table.column("source").to_pylist()) == {"crm"}
    assert "row" not in table.column_names
    assert set(table.column("fault").to_pylist()) == {""}


def test_blanks_and_signs_of_nothing_are_missing(tmp_path):
    """A space is no number and no fault; nor is NA."""
    row = one(tmp_path, fee=" ", since="NA", size="")

    assert (row["fee"], row["since"], row["size"], row["fault"]) == (None, None, None, "")


def test_a_record_is_known_by_all_its_cells(tmp_path):
    """Two customers with equal features are two; the same line twice is one."""
    first = customers(1)[0]
    ids = made(tmp_path, [first, {**first, "number": "other"}, first]).column("id").to_pylist()

    assert ids[0] == ids[2] != ids[1]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"fee": "abc"}, "not a number: fee: 'abc'"),
        ({"fee": "inf"}, "not finite: fee: 'inf'"),
        ({"fee": "1e400"}, "not finite: fee: '1e400'"),
        ({"fee": "9007199254740993"}, "not exact: fee: 9007199254740993"),
        ({"fee": "=cmd()"}, "formula: fee"),
        ({"plan": "=HYPERLINK(1)"}, "formula: plan"),
        ({"since": "yesterday"}, "not a date: since"),
        ({"since": "31.12.2020"}, "not a date: since"),
        ({"since": "0001-01-01"}, "date out of range: since"),
        ({"since": "9999-12-31"}, "date out of range: since"),
        ({"since": "2020-01-01T12:00:00"}, "local time: since"),
        ({"left": "Perhaps"}, "unknown class: 'Perhaps'"),
        ({"plan": "a\0b"}, "NUL"),
    ],
)
def test_a_cell_that_is_not_its_type_makes_a_faulty_record(tmp_path, cells, fault):
    """`validate` quarantines it with these words; no other cell of the row is kept."""
    row = one(tmp_path, **cells)

    assert row["fault"].startswith(fault)
    if "left" not in cells:
        assert row["fee"] is None


@pytest.mark.badinput
def test_whole_numbers_beyond_floats_with_blanks_are_never_rounded(tmp_path):
    """A frame would make floats of them: as an id they stay as they are."""
    rows = [{**row, "number": str(2**53 + 1)} for row in customers(1)] + [{**row, "number": ""} for row in customers(1, seed=1)]

    assert made(tmp_path, rows).column("number").to_pylist() == ["9007199254740993", None]


@pytest.mark.badinput
def test_numbers_of_typed_formats_are_read_as_they_are():
    """Parquet, JSON and SQL give numbers, floats for whole numbers with gaps, and things that are no cells."""
    settled = options()
    payload = dict.fromkeys(settled.columns) | {"fee": 3, "plan": 2.0, "size": "small"}
    raws = [
        RawRecord({**payload, **more}, "No", "", "crm", "x") for more in ({}, {"fee": 10**400}, {"plan": [1]}, {"fee": 2**60})
    ]
    rows = intake.make_rows(raws, LABELS, settled).to_pylist()

    assert (rows[0]["fee"], rows[0]["plan"], rows[0]["fault"]) == (3.0, "2", "")
    assert [row["fault"].partition(":")[0] for row in rows[1:]] == ["not finite", "not a value", "not exact"]


@pytest.mark.badinput
def test_a_column_that_is_not_declared_or_not_there_is_an_error(tmp_path):
    """Named, with the nearest name there is."""
    raws = read_csv(
        tmp_path, as_csv([{"fees" if name == "fee" else name: cell for name, cell in row.items()} for row in customers(2)])
    )
    with pytest.raises(DataError, match=r"'fees' is not declared in collect.record.columns. Did you mean 'fee'"):
        intake.settle(options(), raws)

    with pytest.raises(DataError, match="declares 'extra', which the data lack"):
        intake.settle(options(extra={"kind": "numeric"}), read_csv(tmp_path, as_csv(customers(2))))


@pytest.mark.badinput
def test_a_format_that_gives_no_rows_is_refused():
    """Texts and pictures are no tables."""
    with pytest.raises(DataError, match="gives a str a record, not a row"):
        intake.settle(options(), [RawRecord("a text", None, "", "s", "x")])


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ordinal"}, "needs order"),
        ({"kind": "categorical", "order": ["a", "b"]}, "order belongs to kind: ordinal"),
        ({"kind": "categorical", "min": 1}, "min belongs to kind: numeric"),
        ({"kind": "categorical", "values": [True, False]}, "put quotes around them"),
        ({"kind": "date", "earliest": "soon"}, "Invalid isoformat"),
        ({"kind": "number"}, "Input should be 'numeric'"),
    ],
)
def test_a_schema_that_cannot_be_meant_is_refused(change, message):
    """A bare true is no text, and which spelling of it the cells have is not known."""
    with pytest.raises(ValidationError, match=message):
        options(fee=change)


@pytest.mark.badinput
def test_a_table_without_a_feature_is_refused():
    """There is nothing to learn from."""
    with pytest.raises(ValidationError, match="no column is a feature"):
        intake.RecordOptions.model_validate({"columns": {"a": {"kind": "id"}}})


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(as_csv(customers(50)).encode())[:-20], "cut short"),
        (as_csv(customers(3))[:-5].rsplit("\n", 1)[0].replace("\n", "\n", 1) + '\n"cut', "unexpected end"),
        (as_csv(customers(3)).replace("basic", "b\xe4sic").replace("full", "f\xfcll").encode("latin-1"), "is not utf-8"),
        ("a,b,left\n1,2,3,No\n1,2,3,No\n", "found 4, the header has 3"),
        ("a,a,left\n1,2,No\n", "two columns named 'a'"),
        ("a,b,left\n", "holds no row"),
        ("", "is empty"),
    ],
)
def test_a_broken_file_is_refused_as_a_whole(tmp_path, content, message):
    """Never a shorter table: truncated gzip and quotes, latin-1, every row one cell longer, a header twice, no rows."""
    with pytest.raises(FormatError, match=message):
        read_csv(tmp_path, content)


@pytest.mark.parametrize(("cell", "number"), [("1.234,50", 1234.5), ("12,5", 12.5), ("7", 7.0), (3.5, 3.5)])
def test_a_decimal_comma_is_read_where_it_is_declared(cell, number):
    """As half of Europe writes numbers."""
    column = intake.Column(kind="numeric", decimal=",")

    assert intake._read(cell, "fee", column, frozenset({""})) == number


@pytest.mark.badinput
def test_a_point_beside_a_decimal_comma_is_no_number():
    """1.5 could be fifteen."""
    with pytest.raises(ValueError, match=r"not a number: fee: '1\.5'"):
        intake._read("1.5", "fee", intake.Column(kind="numeric", decimal=","), frozenset({""}))


@pytest.mark.parametrize(
    ("written", "cell", "moment"),
    [
        ("%d.%m.%Y", "31.01.2024", "2024-01-31T00:00:00+00:00"),
        ("%Y-%m-%d %H:%M:%S", "2024-01-31 12:30:00", "2024-01-31T12:30:00+00:00"),
    ],
)
def test_a_date_is_read_as_it_is_written(written, cell, moment):
    """And a time without a zone is then one of UTC."""
    column = intake.Column(kind="date", written=written)

    assert intake._read(cell, "since", column, frozenset({""})).isoformat() == moment


@pytest.mark.badinput
def test_a_date_that_is_written_otherwise_is_a_fault():
    with pytest.raises(ValueError, match=r"is not written as %d\.%m\.%Y"):
        intake._read("2024-01-31", "since", intake.Column(kind="date", written="%d.%m.%Y"), frozenset({""}))
