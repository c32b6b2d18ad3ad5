"""Tables as Parquet files of one schema, page checksums verified where the writer made them."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import FormatError
from headrace.formats.opening import describe
from headrace.formats.record import RawRecord, SourceFile
from headrace.formats.tables import ColumnOptions, RowReader

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
    tables = [file for file in files if file.name.lower().endswith(TABLES)] if options.payload_as == "path" else list(files)
    if not tables:
        raise FormatError(f"none of {len(files)} files is a table ({', '.join(TABLES)}).")
    first: tuple[SourceFile, pa.Schema] | None = None
    for file in tables:
        _check_start(file)
        try:
            with pq.ParquetFile(file.path, page_checksum_verification=True) as table:
                schema = table.schema_arrow.remove_metadata()
                if first is None:
                    first = (file, schema)
                    _check_types(file, schema)
                elif not schema.equals(first[1]):
                    raise FormatError(f"{file} has another schema than {first[0].name}: {_difference(first[1], schema)}.")
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
