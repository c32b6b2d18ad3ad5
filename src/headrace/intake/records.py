"""Records become a data set: the classes they name, chunks of them, and the loop that decodes and writes."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.dataset.shards import ShardWriter
from headrace.errors import DataError, ParamsError
from headrace.formats.record import RawRecord
from headrace.intake.contract import Intake
from headrace.intake.corrections import GIVEN, Corrections
from headrace.intake.tally import Tally
from headrace.listening import Progress

MAX_CHUNK_ROWS = 2048
CHUNK_BYTES = 64 * 1024 * 1024
"""Memory of the records that are decoded together, as they come and as they stay."""

FIRST_ROWS = 256
"""Records that are looked at to settle what the options leave open."""

MAX_CLASSES = 100_000


def write_records(
    read: Callable[[], Iterable[RawRecord]],
    folder: Path,
    intake: Intake,
    options: Any,
    *,
    task: str,
    classes: Sequence[str] | None,
    progress: Progress,
    kept: Sequence[str] = (),
    corrections: Corrections | None = None,
) -> Tally:
    """Decode and measure every record, write them as a data set, and count them.

    Args:
        read: starts the reader at the first record; called twice where `classes` is None.
        folder: the data set to make.
        intake: how a record becomes a row.
        options: of one record, as far as params.yaml settles them.
        task: its name, for dataset.json.
        classes: class names in the order of their labels; None: those that occur.
        progress: told of every row.
        kept: names of what goes with the records, each a column of text.
        corrections: labels that take the place of those that records bring.

    Raises:
        ParamsError: a data set of this task has a column of such a name already, or not a row for each record.
        DataError: there is no record, or what the intake cannot settle; a correction is of no class.
    """
    progress.start("records")
    # Without a given list the records are gone through twice: a label must mean the same in the first shard and in the last.
    names = class_names(read()) if classes is None else list(classes)
    labels = {name: index for index, name in enumerate(names)}
    records = iter(read())
    first = list(islice(records, FIRST_ROWS))
    if not first:
        raise DataError("the sources hold no record in this format. Check collect.sources, collect.format and collect.options.")
    settled = intake.settle(options, first)
    info = intake.record_info(settled)
    schema = _with_kept(intake.record_schema(settled), kept)
    tally = Tally(names, settled.personal.columns if hasattr(settled, "personal") else {})
    if corrections:
        corrections.check(names)
        schema = schema.append(GIVEN)
    with ShardWriter(folder, schema, task=task, classes=names, record=info) as writer:
        for chunk in in_chunks(chain(first, records), info):
            rows = intake.make_rows(chunk, labels, settled)
            if kept and rows.num_rows != len(chunk):
                raise ParamsError(
                    "collect.options.keep: this task makes several rows of a record, and none has the columns of its own."
                )
            for name in kept:
                rows = rows.append_column(
                    schema.field(name), pa.array([(raw.beside or {}).get(name) for raw in chunk], pa.string())
                )
            if corrections:
                rows = corrections.apply(rows, names)
            writer.write(rows)
            tally.add(rows)
            progress.advance(rows.num_rows)
    progress.finish(f"{tally.rows} records")
    return tally


def _with_kept(schema: pa.Schema, kept: Sequence[str]) -> pa.Schema:
    for name in kept:
        if name in schema.names:
            raise ParamsError(
                f"collect.options.keep: a data set of this task has a column '{name}' of its own. Rename the one that you keep."
            )
        schema = schema.append(pa.field(name, pa.string()))
    return schema


def class_names(records: Iterable[RawRecord]) -> list[str]:
    """Classes that occur, numbers by value and before words, words by their letters.

    Raises:
        DataError: there are so many that the label column cannot be one of classes.
    """
    seen: set[str] = set()
    for record in records:
        if record.label is not None and record.label not in seen:
            seen.add(record.label)
            if len(seen) > MAX_CLASSES:
                raise DataError(f"more than {MAX_CLASSES} different labels: is the right column named in collect.options.label?")
    return sorted(seen, key=lambda name: (not _is_number(name), int(name) if _is_number(name) else 0, name))


def _is_number(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdigit()


def in_chunks(records: Iterable[RawRecord], info: Mapping[str, Any]) -> Iterator[list[RawRecord]]:
    """Lists of at most MAX_CHUNK_ROWS records and about CHUNK_BYTES, also once they are decoded; never an empty one.

    Args:
        records: what a format reads.
        info: what dataset.json says of one record; its shape, if any, tells the decoded size.
    """
    decoded_bytes = math.prod(info.get("shape") or [1])
    max_rows = max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // decoded_bytes))
    chunk: list[RawRecord] = []
    num_bytes = 0
    for record in records:
        chunk.append(record)
        num_bytes += _size(record.payload)
        if len(chunk) >= max_rows or num_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


def _size(payload: Any) -> int:
    if isinstance(payload, bytes | str):
        return len(payload)
    return payload.nbytes if isinstance(payload, np.ndarray) else 64
