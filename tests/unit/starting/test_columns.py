"""What the columns of somebody's table hold."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import ParamsError
from headrace.formats.record import SourceFile
from headrace.starting.cells import describe
from headrace.starting.columns import Table, read_table, table_format
from headrace.starting.contract import Request


def request_for(path: Path, **options: str) -> Request:
    return Request(path, [SourceFile(path.name, path, "data")], **options)


def test_a_semicolon_is_found_to_be_the_delimiter(tmp_path):
    """Spreadsheets of half of Europe write it."""
    path = tmp_path / "x.csv"
    path.write_text("body;stars\nfine, really;good\nno, never;bad\n")

    table = read_table(request_for(path), "csv")

    assert (table.names(), table.options) == (["body", "stars"], {"delimiter": ";"})


def test_a_table_of_parquet_is_read_by_its_types(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"age": pa.array([1.0, None, 3.5]), "name": ["a", "b", "b"]}), path)

    table = read_table(request_for(path), "parquet")

    assert [(column.kind, column.missing) for column in table.columns] == [("number", 1), ("category", 0)]


def test_files_of_several_kinds_are_no_table(tmp_path):
    files = [SourceFile(name, tmp_path / name, "x") for name in ("a.csv", "b.txt", "c.jpg")]

    assert table_format(files[:1]) == "csv"
    assert table_format(files) is None


def test_a_wrong_column_is_answered_with_the_nearest_and_with_all():
    table = Table("csv", {}, [describe("body", ["a b c d", "e f g h"]), describe("stars", ["1", "2"])], 2)

    with pytest.raises(ParamsError, match=r"no column 'bdy'\. Did you mean 'body'\? The columns are\n  body"):
        table.column("bdy", "--text", [])
    with pytest.raises(ParamsError, match="--label is missing: which column is it"):
        table.column(None, "--label", [])
