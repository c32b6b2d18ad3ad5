"""The rows of a query as Parquet files, a function of the data: typed by the database, in a stated order, in pieces of a stated size.

Equal beginnings of the result give equal files, so that rows that are appended change the last file only.
"""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.engine import Connection

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256, value_sha256
from headrace.listening import Progress
from headrace.sources.columns import Column, columns_of
from headrace.sources.database import ROWS_AT_ONCE, Database, open_database
from headrace.sources.marks import Marks
from headrace.sources.places import Places
from headrace.sources.snapshot import LockedFile, LockedSource, described
from headrace.sources.spec import Sql
from headrace.sources.statements import checked, table
from headrace.sources.store import Store

MAX_MARKER_VALUES = 1_000


def look(
    source: Sql, known: LockedSource | None, marks: Marks, places: Places, progress: Progress, *, full: bool = False
) -> tuple[list[LockedFile], str]:
    """The files of a source as the database is now, and the mark of that state; the query runs only where the mark is new.

    Args:
        source: of params.yaml.
        known: what the lock has for it.
        marks: of this machine.
        places: of this machine.
        progress: told the rows.
        full: run the query whatever the mark.

    Raises:
        SourceError: the database refuses the query, or its result is no table that could be had again.
        HeadraceError: the database cannot be asked.
    """
    database = open_database(source, places)
    query = checked(source.query, f"query of source '{source.name}'")
    marker = checked(source.marker, f"marker of source '{source.name}'") if source.marker else ""
    key = f"sql:{value_sha256(described(source))}"

    def act(connection: Connection) -> tuple[list[LockedFile], str]:
        mark = _mark(connection, marker, source)
        if known is not None and mark and not full and mark in (known.mark, _same_as(marks.get(key), known)):
            return known.files, known.mark
        files = [file for file, _ in _extract(connection, database, query, places, progress)]
        if known is not None and [file.sha256 for file in files] == [file.sha256 for file in known.files]:
            # Something beside these rows moved the mark: nothing downstream need hear of it.
            marks.note(key, {"mark": mark, "locked": known.mark})
            return known.files, known.mark or mark
        return files, mark

    return database.persist(act)


def bring(source: Sql, files: Sequence[LockedFile], places: Places, progress: Progress) -> Iterator[tuple[LockedFile, Path]]:
    """The files that the lock promises: of this machine's downloads, else by the query.

    Raises:
        SourceError: the query gives other rows by now.
        HeadraceError: the database cannot be asked.
    """
    store = Store(places.downloads)
    present = {file.name: path for file in files if (path := store.find(file.sha256, file.name))}
    if len(present) < len(files):
        database = open_database(source, places)
        query = checked(source.query, f"query of source '{source.name}'")
        made = database.persist(lambda connection: _extract(connection, database, query, places, progress))
        present |= {file.name: path for file, path in made if file in files}
    for file in files:
        if file.name not in present:
            raise SourceError(
                f"source '{source.name}': the query no longer gives the {file.name} of data/sources.lock: {database.place} has other "
                "rows by now, or another version of pyarrow writes them. Run `headrace sources refresh --full`."
            )
        yield file, present[file.name]


def _same_as(noted: object, known: LockedSource) -> str:
    """The mark that stands for the same rows as the lock's, as this machine has seen."""
    return str(noted["mark"]) if isinstance(noted, dict) and noted.get("locked") == known.mark else ""


def _mark(connection: Connection, marker: str, source: Sql) -> str:
    """Digest of the marker's answer; '' where there is no marker."""
    if not marker:
        return ""
    rows = connection.execution_options(no_parameters=True).exec_driver_sql(marker).fetchmany(MAX_MARKER_VALUES + 1)
    if not rows or len(rows) > MAX_MARKER_VALUES or all(value is None for row in rows for value in row):
        told = "no value" if len(rows) <= MAX_MARKER_VALUES else f"more than {MAX_MARKER_VALUES:,} rows"
        raise SourceError(
            f"source '{source.name}': the marker gives {told}, which cannot tell one state from another. Ask for aggregates that "
            "always have a value: count(*), max(updated_at)."
        )
    return value_sha256([[f"{type(value).__name__} {value}" for value in row] for row in rows])[:32]


def _extract(
    connection: Connection, database: Database, query: str, places: Places, progress: Progress
) -> list[tuple[LockedFile, Path]]:
    """Run the query and land its rows in the store."""
    source, store = database.source, Store(places.downloads)
    columns = columns_of(connection, source, query)
    by_name = {column.name: column for column in columns}
    # The collation of a database depends on its machine; bytes do not.
    binary = "BINARY" if source.is_sqlite else '"C"'
    keys = [by_name[name] for name in source.order_by]
    order = ", ".join(f"{key.quoted} COLLATE {binary}" if key.is_text else key.quoted for key in keys)
    streaming = connection.execution_options(no_parameters=True, stream_results=True, max_row_buffer=ROWS_AT_ONCE)
    result = streaming.exec_driver_sql(table(query, end=f"ORDER BY {order}"))
    rows = _decided(_counted(result.partitions(ROWS_AT_ONCE), progress), [columns.index(key) for key in keys], source)
    folder = store.workbench()
    progress.start(source.name, None, unit="rows")
    try:
        files = []
        for number in itertools.count():
            path = folder / f"{source.name}-{number:05d}.parquet"
            if not _write(path, itertools.islice(rows, source.rows_per_file), columns, source):
                break
            digest = file_sha256(path)
            file = LockedFile(
                name=path.name, url=f"sql:{source.name}", size=path.stat().st_size, sha256=digest, split=source.split
            )
            files.append((file, store.land(path, digest, path.name)))
    finally:
        result.close()
        progress.finish()
        shutil.rmtree(folder, ignore_errors=True)
    if not files:
        raise SourceError(f"source '{source.name}': the query gives no row. Correct it in collect.sources, or fill the table.")
    return files


def _counted(batches: Iterator[Sequence[Any]], progress: Progress) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        progress.advance(len(batch))
        yield from map(tuple, batch)


def _decided(rows: Iterator[tuple[Any, ...]], keys: list[int], source: Sql) -> Iterator[tuple[Any, ...]]:
    """The rows; refuses two different ones whose order `order_by` leaves open."""
    before: tuple[Any, ...] = ()
    for row in rows:
        if before and all(_is_same(before[key], row[key]) for key in keys) and not all(map(_is_same, before, row)):
            shown = ", ".join(f"{name} {row[key]!r}" for name, key in zip(source.order_by, keys, strict=True))
            raise SourceError(
                f"source '{source.name}': two different rows have {shown[:120]}, so order_by does not decide which comes first, and the "
                "result would not be the same each time. Add a column that differs, such as the primary key."
            )
        before = row
        yield row


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)


def _write(path: Path, rows: Iterator[tuple[Any, ...]], columns: list[Column], source: Sql) -> int:
    """Write a Parquet file of these rows; returns how many they are, and leaves no file when there are none."""
    schema = pa.schema([(column.name, column.type) for column in columns])
    count, writer = 0, None
    try:
        while batch := list(itertools.islice(rows, ROWS_AT_ONCE * 5)):
            writer = writer or pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
            arrays = [
                _array(column, list(values), count, source)
                for column, values in zip(columns, zip(*batch, strict=True), strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    finally:
        if writer is not None:
            writer.close()
    return count


def _array(column: Column, values: list[Any], first: int, source: Sql) -> pa.Array:
    try:
        return column.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise SourceError(
            f"source '{source.name}': column '{column.name}' has a value that {column.type} does not hold, in one of the rows from "
            f"{first:,} on: {' '.join(str(error).split())[:150]}. Cast it in the query."
        ) from None
