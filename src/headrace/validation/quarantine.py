"""Divide a data set into what goes on and what is kept back, one row group at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.dataset.shards import iter_tables, read_schema, writer_like
from headrace.listening import Progress

REASONS = pa.field("reasons", pa.list_(pa.string()))
"""The extra column of a quarantined record."""


def divide(
    data: Path, bad: np.ndarray, reasons: Sequence[tuple[str, np.ndarray]], *, passed: Path, kept_back: Path, progress: Progress
) -> None:
    """Write the good records to `passed`, the others with their reasons to `kept_back`; both keep the order of `data`.

    Args:
        data: the data set.
        bad: bool per record.
        reasons: each reason with the ascending positions of its records.
        passed: folder to make.
        kept_back: folder to make.
        progress: told of every row.
    """
    offset = 0
    progress.start("validated", len(bad), unit="records")
    with writer_like(passed, data) as good, writer_like(kept_back, data, schema=read_schema(data).append(REASONS)) as rest:
        for rows in iter_tables(data):
            here = bad[offset : offset + rows.num_rows]
            if here.any():
                good.write(rows.filter(pa.array(~here)))
                words = [reason_words(int(position), reasons) for position in offset + np.flatnonzero(here)]
                rest.write(rows.filter(pa.array(here)).append_column(REASONS, pa.array(words, REASONS.type)))
            else:
                good.write(rows)
            offset += rows.num_rows
            progress.advance(rows.num_rows)
    progress.finish()


def reason_words(position: int, reasons: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    """Why the record at `position` is kept back."""
    found = []
    for words, positions in reasons:
        at = int(np.searchsorted(positions, position))
        if at < len(positions) and positions[at] == position:
            found.append(words)
    return found
