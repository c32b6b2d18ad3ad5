"""A `sql` source with a real PostgreSQL."""

import datetime
import decimal
import threading
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.postgres import Postgres
from tests.services import free_port

from headrace.errors import ConfigError, EngineError, ParamsError, SourceError
from headrace.sources import database
from headrace.sources.fetch import fetch, refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import read_lock
from headrace.sources.spec import Sql


class Shop:
    """A project whose rows are in a database of a server."""

    def __init__(self, server: Postgres, folder: Path):
        self.server, self.name, self.folder = server, server.make_database(), folder
        self.url = server.url(self.name)
        self.places = Places(project=folder, downloads=folder / "downloads", budget_s=20)
        self.lock = folder / "sources.lock"

    def execute(self, *statements: str) -> None:
        self.server.execute(self.name, *statements)

    def source(self, **more: object) -> Sql:
        values = {"kind": "sql", "name": "shop", "url": self.url, "query": "select * from t", "order_by": ["id"]}
        return Sql.model_validate(values | more)

    def refresh(self, **more: object) -> list[str]:
        return [f"{change.what} {change.file}" for change in refresh([self.source(**more)], self.lock, self.places)]

    def tables(self, **more: object) -> list[pa.Table]:
        return [pq.read_table(file.path) for file in fetch([self.source(**more)], read_lock(self.lock), self.places)]


@pytest.fixture
def shop(postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HEADRACE_SQL_PASSWORD_SHOP", postgres_server.password)
    found = Shop(postgres_server, tmp_path)
    found.execute(
        "create table t (id bigint primary key, text text, price double precision)",
        "insert into t select i, 'text ' || i, i * 0.5 from generate_series(1, 5000) as i",
    )
    return found


def test_types_are_those_of_the_database(shop: Shop) -> None:
    """Never those of the first rows: a column that begins with NULL, a whole number above 2 to the 53, a time of another zone."""
    shop.execute(
        "create table kinds (id int, b bool, i8 int8, f4 float4, n numeric(20, 4), s varchar(9), u uuid, at timestamptz, d date, "
        "raw bytea, many float8[])",
        "insert into kinds values (1, null, null, null, null, null, null, null, null, null, null), (2, true, 9007199254740993, 0.1, "
        "12345678901234.5678, 'käse', '00000000-0000-0000-0000-000000000001', '2024-03-31 03:30:00+02', '2024-02-29', '\\x00ff', "
        "'{1.5,null}')",
    )
    shop.refresh(query="select * from kinds")

    [table] = shop.tables(query="select * from kinds")
    assert [row is None for row in list(table.to_pylist()[0].values())[1:]] == [True] * 10
    assert list(table.to_pylist()[1].values()) == [
        2, True, 9007199254740993, pytest.approx(0.1), decimal.Decimal("12345678901234.5678"), "käse",
        str(uuid.UUID(int=1)), datetime.datetime(2024, 3, 31, 1, 30, tzinfo=datetime.UTC), datetime.date(2024, 2, 29), b"\x00\xff",
        [1.5, None],
    ]  # fmt: skip
    assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("f4").type == pa.float32()


def test_a_big_result_comes_in_pieces_in_the_order_of_bytes(shop: Shop) -> None:
    """The collation of the database is its machine's; the order of bytes is everybody's."""
    more = {"order_by": ["text"], "rows_per_file": 2000}
    shop.execute("insert into t values (0, 'Text 0', 0), (-1, 'äpfel', 0), (-2, '_', 0)")
    shop.refresh(**more)

    tables = shop.tables(**more)
    texts = [text for table in tables for text in table["text"].to_pylist()]
    assert [len(table) for table in tables] == [2000, 2000, 1003]
    assert texts == sorted(texts, key=lambda text: text.encode())


def test_the_lock_does_not_hear_of_rows_in_another_order(shop: Shop) -> None:
    """Every update moves a row to another place of the table."""
    shop.refresh()
    before = shop.lock.read_bytes()
    shop.execute("update t set price = price where id % 3 = 0", "vacuum full t")

    assert shop.refresh() == []
    assert shop.lock.read_bytes() == before


def test_an_unchanged_marker_reads_no_row(shop: Shop) -> None:
    """Not even that the table is there."""
    marker = "select count(*), max(changed) from state"
    shop.execute("create table state (changed timestamptz)", "insert into state values ('2024-01-01Z')")
    shop.refresh(marker=marker)

    shop.execute("alter table t rename to hidden")
    assert shop.refresh(marker=marker) == []
    shop.execute("insert into state values ('2024-01-02Z')")
    with pytest.raises(SourceError, match='relation "t" does not exist'):
        shop.refresh(marker=marker)
    shop.execute("alter table hidden rename to t", "insert into t values (5001, 'new', 1)")
    assert shop.refresh(marker=marker) == ["changed shop-00000.parquet"]


@pytest.mark.fault
def test_a_table_that_is_dropped_while_it_is_read_is_read_to_its_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One snapshot: a writer in the middle is not seen, whoever drops the table waits."""
    monkeypatch.setattr("headrace.sources.sql.ROWS_AT_ONCE", 100)
    seen: list[int] = []
    dropped = threading.Thread(target=shop.execute, args=("drop table t",))

    class Watching:
        def start(self, label: str, total: int | None = None, *, unit: str = "") -> None: ...

        def advance(self, steps: int = 1, *, note: str = "") -> None:
            seen.append(steps)
            if len(seen) == 3:
                shop.execute("insert into t values (9999, 'late', 0)")
                dropped.start()

        def finish(self, note: str = "") -> None: ...

        def say(self, line: str) -> None: ...

    refresh([shop.source()], shop.lock, shop.places, Watching())
    dropped.join(120)

    assert sum(seen) == 5000
    with pytest.raises(SourceError, match='relation "t" does not exist'):
        shop.refresh()


@pytest.mark.fault
@pytest.mark.badinput
@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("timestamp '2024-03-31 02:30:00' as at", r"'at' is of type timestamp,.*has no zone.*\(\"at\" AT TIME ZONE 'UTC'\)"),
        ("sum(1::bigint) over () as n", r"'n' is of type numeric.*numeric\(38, 9\)"),
        ("'{}'::jsonb as j", '"j"::text'),
        ("interval '1 day' as i", "extract"),
        ("timestamptz 'infinity' as at", "refuses the query: timestamp too large"),
        ("'NaN'::numeric(5, 2) as n", "column 'n' has a value that decimal128"),
        ("1 as id", "2 columns named 'id'"),
        ("1", "without a name"),
        ("1 / (id - 1) as x", "division by zero"),
        ("'x'::no_such_type as x", 'type "no_such_type" does not exist'),
    ],
)
def test_what_parquet_cannot_hold_is_refused_with_the_cast(shop: Shop, column: str, told: str) -> None:
    """A time without a zone is a guess; an unbounded number loses digits. The message says what to write."""
    with pytest.raises(SourceError, match=told):
        shop.refresh(query=f"select id, {column} from t where id < 10")  # noqa: S608

    assert not shop.lock.exists()


@pytest.mark.fault
def test_a_restarted_server_costs_time_and_no_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks in the middle; the whole query is asked again, once the server is back."""
    monkeypatch.setattr("headrace.sources.sql.ROWS_AT_ONCE", 100)
    real, times = database.Database.snapshot, []

    def counted(self: database.Database):
        times.append(1)
        return real(self)

    monkeypatch.setattr(database.Database, "snapshot", counted)
    killed: list[int] = []

    class Killing:
        def start(self, label: str, total: int | None = None, *, unit: str = "") -> None: ...

        def advance(self, steps: int = 1, *, note: str = "") -> None:
            if not killed:
                killed.append(1)
                shop.server.execute(
                    "postgres",
                    f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{shop.name}'",  # noqa: S608
                )

        def finish(self, note: str = "") -> None: ...

        def say(self, line: str) -> None: ...

    refresh([shop.source()], shop.lock, shop.places, Killing())

    assert len(times) == 2
    assert [len(table) for table in shop.tables()] == [5000]


@pytest.mark.fault
def test_a_server_that_is_down_is_named_within_the_budget(tmp_path: Path) -> None:
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", budget_s=0.5)
    port = free_port()
    source = Sql(kind="sql", name="a", url=f"postgresql://127.0.0.1:{port}/db", query="select 1 as id", order_by=["id"])

    with pytest.raises(EngineError, match=rf"PostgreSQL 127\.0\.0\.1:{port}/db failed for 0.5 s; last: connection failed"):
        refresh([source], tmp_path / "sources.lock", places)


@pytest.mark.badinput
def test_a_wrong_password_is_told_at_once_and_never_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SQL_PASSWORD_SHOP", "canary-password")
    with pytest.raises(ConfigError, match=r"password authentication failed.*HEADRACE_SQL_PASSWORD_SHOP") as refused:
        shop.refresh()

    assert "canary-password" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


@pytest.mark.badinput
def test_a_missing_password_and_a_missing_database_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match='database "nowhere" does not exist'):
        shop.refresh(url=shop.server.url("nowhere"))
    monkeypatch.delenv("HEADRACE_SQL_PASSWORD_SHOP")
    with pytest.raises(ConfigError, match="password"):
        shop.refresh()


def test_the_password_may_stand_in_the_env_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_SQL_PASSWORD_SHOP")
    (shop.folder / ".env").write_text(f"HEADRACE_SQL_PASSWORD={shop.server.password}\n")

    assert shop.refresh() == ["added shop-00000.parquet"]


def test_the_password_is_in_no_file_and_no_repr(shop: Shop) -> None:
    """Neither in the lock, which is published, nor in what this machine remembers."""
    shop.refresh(marker="select count(*) from t")
    shop.tables(marker="select count(*) from t")

    texts = [path.read_bytes() for path in shop.folder.rglob("*") if path.is_file()]
    assert len(texts) >= 2
    assert not any(shop.server.password.encode() in text for text in texts)
    assert shop.server.password not in repr(database.open_database(shop.source(), shop.places))


@pytest.mark.badinput
def test_no_right_to_read_is_told(shop: Shop) -> None:
    shop.execute(
        f"create role guest_{shop.name} login password '{shop.server.password}'",
        "create schema hidden",
        "create table hidden.t (id int)",
    )
    url = shop.url.replace("headrace@", f"guest_{shop.name}@")

    with pytest.raises(SourceError, match="permission denied"):
        shop.refresh(url=url, query="select * from hidden.t")


@pytest.mark.badinput
def test_nothing_can_be_written(shop: Shop) -> None:
    """A read-only transaction, whatever the query calls."""
    shop.execute("create function spoil() returns int language sql as $$ insert into t values (-1, 'x', 0) returning 1 $$")
    with pytest.raises((SourceError, ParamsError), match="read-only transaction"):
        shop.refresh(query="select id, spoil() as x from t")


@pytest.mark.fault
def test_a_private_address_behind_a_name_is_refused_before_it_is_dialled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is a name; so is what a name service turns into the machine's own network."""
    named = shop.url.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceError, match=r"Host localhost is refused: its address .* list 'localhost' in allow_hosts"):
        shop.refresh(url=named)

    assert shop.refresh(url=named, allow_hosts=["localhost"]) == ["added shop-00000.parquet"]


@pytest.mark.fault
def test_link_local_addresses_are_refused(shop: Shop) -> None:
    with pytest.raises(SourceError, match=r"Host 169\.254\.169\.254 is refused"):
        shop.refresh(url="postgresql://169.254.169.254/latest")


@pytest.mark.fault
def test_a_server_without_the_wanted_encryption_is_told_at_once(shop: Shop) -> None:
    """Asking again for a minute would change nothing."""
    with pytest.raises(ConfigError, match=r"refuses the connection.*SSL"):
        shop.refresh(url=f"{shop.url}?sslmode=require")
