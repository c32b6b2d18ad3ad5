"""Divide a data set into what goes on and what is kept back, one row group at a time."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.dataset.schema import INFO_NAME, read_info
from headrace.dataset.shards import iter_tables, read_schema, writer_like
from headrace.errors import DataError
from headrace.fingerprint import file_sha256
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
    kept_back_schema = read_schema(data).append(REASONS)
    if not bad.any():
        pass_whole(data, passed, progress=progress)
        with writer_like(kept_back, data, schema=kept_back_schema):
            return
    offset = 0
    progress.start("validated", len(bad), unit="records")
    with writer_like(passed, data) as good, writer_like(kept_back, data, schema=kept_back_schema) as rest:
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


def pass_whole(data: Path, passed: Path, *, progress: Progress) -> None:
    """Hand a data set on file by file: the bytes that decoding and writing its rows again would give.

    Raises:
        DataError: a shard is missing, or its bytes are not those of dataset.json.
    """
    info = read_info(data)
    passed.mkdir(parents=True, exist_ok=True)
    progress.start("validated", info.rows, unit="records")
    for shard in info.shards:
        path = data / shard.name
        if not path.is_file() or file_sha256(path) != shard.sha256:
            raise DataError(f"{path} is missing or damaged. Delete it and run `dvc checkout -f {data}`.")
        _hand_on(path, passed / shard.name)
        progress.advance(shard.rows)
    _hand_on(data / INFO_NAME, passed / INFO_NAME)
    progress.finish()


def _hand_on(path: Path, target: Path) -> None:
    # A file that nobody may write to, such as a link into DVC's cache, can stand in two places; another one could change in both.
    if not path.stat().st_mode & 0o222:
        try:
            os.link(path.resolve(), target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(path, target)


def reason_words(position: int, reasons: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    """Why the record at `position` is kept back."""
    found = []
    for words, positions in reasons:
        at = int(np.searchsorted(positions, position))
        if at < len(positions) and positions[at] == position:
            found.append(words)
    return found
