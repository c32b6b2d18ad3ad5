"""Tables as Parquet files of one schema, page checksums verified where the writer made them."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import FormatError
from headrace.formats.kinds import LOOKED_AT, add_file, kinds
from headrace.formats.opening import describe
from headrace.formats.record import RawRecord, SourceFile
from headrace.formats.tables import ColumnOptions, RowReader, tables_among

TABLES = (".parquet", ".pq")
_BATCH_ROWS = 1024
_MAX_COLUMNS = 100_000


class Options(ColumnOptions):
    """What the columns mean."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a row.

    Raises:
        FormatError: damaged, no row, a column of a type that is no plain data, or files of different schemas.
    """
    first: dict[str, tuple[SourceFile, pa.Schema]] = {}
    for file in tables_among(files, TABLES, options):
        _check_start(file)
        try:
            with pq.ParquetFile(file.path, page_checksum_verification=True) as table:
                schema = table.schema_arrow.remove_metadata()
                before, expected = first.setdefault(file.source, (file, schema))
                if before is file:
                    _check_types(file, schema)
                elif not schema.equals(expected):
                    raise FormatError(f"{file} has another schema than {before.name}: {_difference(expected, schema)}.")
                if not table.metadata.num_rows:
                    raise FormatError(f"{file} holds no row.")
                reader = RowReader(file, schema.names, options, files)
                number = 0
                for batch in table.iter_batches(_BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield reader.record(row, f"row {number}")
                        number += 1
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"{file} is damaged ({' '.join(str(error).split())[:200]}). Fetch it again.") from None


def columns(files: Sequence[SourceFile], options: Options) -> dict[str, dict[str, str]]:
    """Column names of each source, and the kind of what stands in them. Errors as `read`, as far as the first rows show them."""
    given: dict[str, dict[str, str]] = {}
    for file in tables_among(files, TABLES, options):
        _check_start(file)
        try:
            with pq.ParquetFile(file.path, page_checksum_verification=True) as table:
                first = next(table.iter_batches(LOOKED_AT), None)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"{file} is damaged ({' '.join(str(error).split())[:200]}). Fetch it again.") from None
        if first is not None:
            add_file(given, file.source, kinds(first.schema.names, (row.values() for row in first.to_pylist())))
    return given


def _check_start(file: SourceFile) -> None:
    with file.path.open("rb") as raw:
        start = raw.read(512)
    if not start:
        raise FormatError(f"{file} is empty. Fetch it again, or take it out of the source.")
    if not start.startswith(b"PAR1"):
        raise FormatError(f"{file} is {describe(start)} Parquet. Set collect.format to what it is.")


def _check_types(file: SourceFile, schema: pa.Schema) -> None:
    if len(schema) > _MAX_COLUMNS:
        raise FormatError(f"{file} has {len(schema)} columns, more than {_MAX_COLUMNS}.")
    for field in schema:
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType) or (field.metadata or {}).get(b"ARROW:extension:name"):
            raise FormatError(
                f"{file}: column '{field.name}' is of an extension type, which may hide a program. Store plain values."
            )
        if pa.types.is_timestamp(kind) and kind.tz is None:
            raise FormatError(f"{file}: column '{field.name}' holds times without a zone. Store them as UTC.")
        if pa.types.is_null(kind) or pa.types.is_union(kind):
            raise FormatError(f"{file}: column '{field.name}' is of type {kind}, which holds no plain values.")


def _difference(expected: pa.Schema, found: pa.Schema) -> str:
    for name in expected.names:
        if name not in found.names:
            return f"column '{name}' is missing"
        if found.field(name).type != expected.field(name).type:
            return f"column '{name}' is {found.field(name).type}, not {expected.field(name).type}"
    extra = [name for name in found.names if name not in expected.names]
    return f"column '{extra[0]}' is new" if extra else "the columns stand in another order"
