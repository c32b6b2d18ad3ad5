"""Rows of a SQLite file as Parquet."""

import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import HeadraceError, ParamsError, SourceError
from headrace.sources.fetch import fetch, refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import read_lock
from headrace.sources.spec import Sql


class Shop:
    """A project with a database."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.places = Places(project=folder, downloads=folder / "downloads", budget_s=0.5)
        self.lock = folder / "sources.lock"
        self.file = folder / "shop.db"

    def execute(self, *statements: str) -> None:
        with sqlite3.connect(self.file) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def source(self, **more: object) -> Sql:
        values = {"kind": "sql", "name": "shop", "url": "sqlite:///shop.db", "query": "select * from t", "order_by": ["id"]}
        return Sql.model_validate(values | more)

    def refresh(self, **more: object) -> list[str]:
        return [f"{change.what} {change.file}" for change in refresh([self.source(**more)], self.lock, self.places)]

    def tables(self, **more: object) -> list[pa.Table]:
        return [pq.read_table(file.path) for file in fetch([self.source(**more)], read_lock(self.lock), self.places)]


@pytest.fixture
def shop(tmp_path):
    found = Shop(tmp_path)
    found.execute(
        "create table t (id integer, text text, price real)",
        "insert into t values (3, 'c', 1.5), (1, 'a', null), (2, 'b', 2)",
    )
    return found


def test_rows_come_in_the_stated_order(shop):
    """The order of the table's pages is an accident."""
    assert shop.refresh() == ["added shop-00000.parquet"]

    [table] = shop.tables()
    assert table.to_pylist() == [
        {"id": 1, "text": "a", "price": None},
        {"id": 2, "text": "b", "price": 2.0},
        {"id": 3, "text": "c", "price": 1.5},
    ]
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64()]


def test_equal_rows_give_equal_files(shop):
    """The snapshot is a function of the data: written in another order, in another file, it is the same."""
    shop.refresh()
    before = shop.lock.read_bytes()
    shop.file.unlink()
    shop.lock.unlink()
    shop.execute(
        "create table t (id integer, text text, price real)",
        "insert into t values (1, 'a', null), (2, 'b', 2), (3, 'c', 1.5)",
    )
    shop.refresh(marker=None)

    assert shop.lock.read_bytes() == before


def test_appended_rows_change_the_last_file_only(shop):
    """A table that grows is not brought in anew from its first row."""
    shop.refresh(rows_per_file=2)
    shop.execute("insert into t values (4, 'd', 0)", "insert into t values (5, 'e', 0)")

    assert shop.refresh(rows_per_file=2) == ["changed shop-00001.parquet", "added shop-00002.parquet"]
    assert [len(table) for table in shop.tables(rows_per_file=2)] == [2, 2, 1]


def test_an_unchanged_marker_runs_no_query(shop):
    """The query of a big table is the work of minutes."""
    marker = "select count(*), max(id) from t"
    shop.refresh(marker=marker)
    shop.execute("update t set text = 'changed' where id = 1")  # which this marker does not see

    assert shop.refresh(marker=marker) == []
    shop.execute("insert into t values (4, 'd', 0)")
    assert shop.refresh(marker=marker) == ["changed shop-00000.parquet"]


def test_full_believes_no_marker(shop):
    marker = "select count(*) from t"
    shop.refresh(marker=marker)
    shop.execute("update t set text = 'changed' where id = 1")

    [change] = refresh([shop.source(marker=marker)], shop.lock, shop.places, full=True)

    assert change.what == "changed"


def test_a_marker_that_moves_alone_changes_no_lock(shop):
    """Downstream hears of rows, not of a clock in a column that nobody reads; and the query runs once, not at every refresh."""
    marker, query = "select count(*), max(price) from t", "select id, text from t"
    shop.refresh(marker=marker, query=query)
    before = shop.lock.read_bytes()
    shop.execute("update t set price = 9 where id = 1")

    assert shop.refresh(marker=marker, query=query) == []
    assert shop.lock.read_bytes() == before
    assert '"mark"' in shop.places.marks.read_text()


@pytest.mark.badinput
def test_whole_numbers_above_2_to_the_53_beside_null_stay_whole(shop):
    """Read as a float, 9007199254740993 is another customer."""
    shop.execute("create table big (id integer, n integer)", "insert into big values (1, 9007199254740993), (2, null)")
    shop.refresh(query="select * from big")

    [table] = shop.tables(query="select * from big")
    assert table["n"].type == pa.int64()
    assert table["n"].to_pylist() == [9007199254740993, None]


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("statement", "more", "told"),
    [
        ("delete from t", {}, "gives no row"),
        ("drop table t", {}, "refuses the query: no such table: t"),
        ("select 1", {"query": "select id, prise from t"}, "no such column: prise"),
        ("select 1", {"query": "select * from t where"}, "syntax error"),
        ("select 1", {"query": "select * from t limit (select 1", }, "refuses the query"),
        ("select 1", {"order_by": ["prise"]}, "no column 'prise'.*Did you mean 'price'"),
        ("select 1", {"query": "select id, id from t"}, "2 columns named 'id'"),
        ("insert into t values (1, 'other', 0)", {}, "two different rows have id 1"),
        ("insert into t values (null, 'x', 0), (null, 'y', 0)", {}, "two different rows have id None"),
        ("insert into t values (7, 8, 0), (8, x'00', 0)", {}, r"column 'text' holds values of several types \(blob, text\)"),
        ("update t set text = null", {}, "column 'text' is NULL in every row"),
        ("select 1", {"query": "select id, case id when 1 then 1.5 else 9007199254740993 end as p from t"}, "'p' has a value that double"),
        ("update t set text = cast(x'ff41' as text)", {}, "Could not decode to UTF-8"),
        ("select 1", {"marker": "select max(id) from t where id > 100"}, "the marker gives no value"),
        ("select 1", {"marker": "select mx(id) from t"}, "no such function: mx"),
        ("select 1", {"url": "sqlite:///absent.db"}, "there is no SQLite file"),
    ],
)  # fmt: skip
def test_what_cannot_be_brought_in_is_told(shop, statement, more, told):
    """Each of these would else be a stack trace, a wrong number, or a snapshot that nobody can repeat."""
    shop.execute(statement)
    with pytest.raises(SourceError, match=told):
        shop.refresh(**more)

    assert not shop.lock.exists()


@pytest.mark.badinput
def test_a_file_that_is_no_database_is_told(shop):
    shop.file.write_bytes(b"<html>" * 1000)
    with pytest.raises(SourceError, match="file is not a database"):
        shop.refresh()


def test_two_equal_rows_are_no_question_of_order(shop):
    """Which of them comes first, nobody can tell."""
    shop.execute("insert into t values (1, 'a', null)")
    shop.refresh()

    assert len(shop.tables()[0]) == 4


@pytest.mark.badinput
def test_the_database_is_not_written_to(shop):
    with pytest.raises((SourceError, ParamsError)):
        shop.refresh(query="with a as (select 1) insert into t select 9, 'x', 0 from a returning id")


@pytest.mark.fault
def test_rows_that_went_meanwhile_are_told(shop):
    """Another machine brings in what the lock says, or says that it cannot."""
    shop.refresh()
    elsewhere = Places(project=shop.folder, downloads=shop.folder / "elsewhere", budget_s=0.5)
    lock = read_lock(shop.lock)
    assert [file.name for file in fetch([shop.source()], lock, elsewhere)] == ["shop-00000.parquet"]

    shop.execute("update t set text = 'changed' where id = 1")
    third = Places(project=shop.folder, downloads=shop.folder / "third", budget_s=0.5)
    with pytest.raises(SourceError, match=r"no longer gives the shop-00000\.parquet"):
        fetch([shop.source()], lock, third)
    shop.execute("drop table t")
    with pytest.raises(SourceError, match="no such table"):
        fetch([shop.source()], lock, third)


@pytest.mark.fault
def test_a_database_that_stays_locked_spends_the_budget_and_no_more(shop, monkeypatch):
    monkeypatch.setattr("headrace.sources.database.CONNECT_LIMIT_S", 0.1)
    holder = sqlite3.connect(shop.file, isolation_level=None)
    holder.execute("begin exclusive")
    try:
        with pytest.raises(HeadraceError, match=r"failed for 0.5 s; last: database is locked"):
            shop.refresh()
    finally:
        holder.close()
