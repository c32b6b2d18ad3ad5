"""A data set at rest: a folder of Parquet shards and dataset.json.

Every record has the columns `id` (hex sha256 of the payload as it arrived, cut to 32 digits), `label` (int64, -1 unknown),
`split` (as given by the source, '' if none), `source` and `origin` (where it came from); the payload and measured columns are
the task's. Shards are written with page checksums and read with them verified: plain Parquet returns a flipped byte as data.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.dataset.schema import INFO_NAME, DatasetInfo, ShardInfo, read_info
from headrace.errors import DataError
from headrace.fingerprint import file_sha256
from headrace.storage.local import write_text

SHARD_BYTES = 128 * 1024 * 1024
"""A shard is closed when its rows take this much memory."""

ROW_GROUP_ROWS = 8192

ROW_GROUP_BYTES = 128 * 1024 * 1024
"""Large pictures come in groups of fewer rows, so that no reader or writer holds gigabytes."""


class ShardWriter:
    """Write records into `part-00000.parquet`, `part-00001.parquet`, ... and dataset.json at the end.

    Use as a context manager; dataset.json appears only when the block ends without an error. Equal rows in equal order
    give equal bytes, however they were cut into `write` calls.

    Args:
        folder: made if missing; must hold no data set yet.
        schema: Arrow schema of all columns.
        task: name of the task, kept in dataset.json.
        classes: class names by label index.
        record: what the task knows of one record.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, task: str, classes: Sequence[str], record: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / INFO_NAME).exists():
            raise DataError(f"{folder} already holds a data set; a data set is never appended to.")
        self._folder, self._schema = folder, schema
        self._group_rows = max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // _row_bytes(schema)))
        self._task, self._classes, self._record = task, list(classes), dict(record)
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._shards: list[ShardInfo] = []
        self._file: pq.ParquetWriter | None = None
        self._file_rows = self._file_bytes = 0
        self._digest = hashlib.sha256()
        self._by_label: dict[int, int] = {}
        self._by_split: dict[str, int] = {}

    def write(self, rows: pa.Table) -> None:
        """Append rows; columns are put in the schema's order."""
        table = rows.select(self._schema.names).cast(self._schema)
        labels = table.column("label").to_pylist()
        for record_id, label in zip(table.column("id").to_pylist(), labels, strict=True):
            self._digest.update(f"{record_id} {label}\n".encode())
            self._by_label[label] = self._by_label.get(label, 0) + 1
        for split in table.column("split").to_pylist():
            self._by_split[split] = self._by_split.get(split, 0) + 1
        self._pending += table.to_batches()
        self._pending_rows += table.num_rows
        while self._pending_rows >= self._group_rows:
            self._flush(self._group_rows)

    def _flush(self, rows: int) -> None:
        waiting = pa.Table.from_batches(self._pending, self._schema)
        group, rest = waiting.slice(0, rows).combine_chunks(), waiting.slice(rows)
        self._pending, self._pending_rows = rest.to_batches(), rest.num_rows
        if self._file is None:
            # zstd level 1: pixels compress little more at higher levels, and writing takes several times as long.
            self._file = pq.ParquetWriter(
                self._shard_path(), self._schema, compression="zstd", compression_level=1, write_page_checksum=True
            )
            self._file_rows = self._file_bytes = 0
        self._file.write_table(group, row_group_size=self._group_rows)
        self._file_rows += group.num_rows
        self._file_bytes += group.nbytes
        if self._file_bytes >= SHARD_BYTES:
            self._close_shard()

    def _shard_path(self) -> Path:
        return self._folder / f"part-{len(self._shards):05d}.parquet"

    def _close_shard(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        path = self._shard_path()
        with path.open("rb") as written:
            os.fsync(written.fileno())
        self._shards.append(ShardInfo(name=path.name, rows=self._file_rows, sha256=file_sha256(path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            if self._file is not None:
                self._file.close()
            return
        if self._pending_rows or (not self._shards and self._file is None):
            self._flush(self._pending_rows)  # a data set without rows still has one shard, so that its schema is known
        self._close_shard()
        names = dict(enumerate(self._classes))
        info = DatasetInfo(
            task=self._task,
            classes=self._classes,
            record=self._record,
            rows=sum(shard.rows for shard in self._shards),
            by_class={names.get(label, str(label)): count for label, count in sorted(self._by_label.items())},
            by_split=dict(sorted(self._by_split.items())),
            digest=self._digest.hexdigest(),
            shards=self._shards,
        )
        write_text(self._folder / INFO_NAME, info.model_dump_json(indent=2) + "\n")


def _row_bytes(schema: pa.Schema) -> int:
    """Bytes of the fixed-shape payload in a row; what varies from row to row is not counted."""
    tensors = (field.type for field in schema if isinstance(field.type, pa.FixedShapeTensorType))
    num_bytes: int = sum(math.prod(kind.shape) * kind.value_type.byte_width for kind in tensors)
    return max(1, num_bytes)


def iter_tables(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Stream a data set, one row group (at most 8,192 rows) at a time, in order.

    Raises:
        DataError: a shard is missing or damaged, or has other rows than dataset.json says.
    """
    for shard in read_info(folder).shards:
        path = folder / shard.name
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if file.metadata.num_rows != shard.rows:
                    raise DataError(f"{path} has {file.metadata.num_rows} rows, {INFO_NAME} says {shard.rows}.")
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=list(columns) if columns is not None else None)
        except FileNotFoundError:
            raise DataError(f"{path} is missing. `dvc checkout -f {folder}` brings it back.") from None
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is damaged ({error}). Delete it and run `dvc checkout -f {folder}`.") from None


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole data set, or some of its columns, in memory. Errors as `iter_tables`."""
    return pa.concat_tables(iter_tables(folder, columns)).combine_chunks()


def read_schema(folder: Path) -> pa.Schema:
    """Arrow schema of a data set, without reading rows."""
    return pq.read_schema(folder / read_info(folder).shards[0].name)


def writer_like(folder: Path, like: Path, *, schema: pa.Schema | None = None) -> ShardWriter:
    """A writer into `folder` with task, classes and record of the data set `like` (and its schema, unless one is given)."""
    info = read_info(like)
    return ShardWriter(folder, schema or read_schema(like), task=info.task, classes=info.classes, record=info.record)
