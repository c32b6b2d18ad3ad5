"""The three splits at rest: written in one pass over the data set, and read once more to see that nothing leaks."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.dataset.schema import SPLITS
from headrace.dataset.shards import iter_tables, read_table, writer_like
from headrace.dataset.splits import codes, outranked
from headrace.errors import HeadraceError
from headrace.listening import Progress


def write_splits(data: Path, folder: Path, splits: np.ndarray, *, progress: Progress) -> None:
    """Write each record to the folder of its split, its `split` column set; the order of `data` is kept.

    Args:
        data: the data set.
        folder: gets one data set folder per split.
        splits: int8 (N,), a number of SPLITS; records below 0 are left out.
        progress: told of every row.
    """
    offset = 0
    progress.start("splits", len(splits), unit="records")
    with ExitStack() as stack:
        writers = [stack.enter_context(writer_like(folder / name, data)) for name in SPLITS]
        for rows in iter_tables(data):
            here = splits[offset : offset + rows.num_rows]
            for number, writer in enumerate(writers):
                chosen = rows.filter(pa.array(here == number))
                at = chosen.schema.get_field_index("split")
                words = pa.array([SPLITS[number]] * chosen.num_rows, pa.string())
                writer.write(chosen.set_column(at, "split", words))
            offset += rows.num_rows
            progress.advance(rows.num_rows)
    progress.finish()


def check_no_leak(folder: Path, keys_of: Mapping[str, Callable[[pa.Table], Sequence[str]]]) -> None:
    """Refuse written splits in which a key stands in two.

    Args:
        folder: holds one data set folder per split.
        keys_of: by column, what makes keys of a table with it: ids, and groups if there are any.

    Raises:
        HeadraceError: a value straddles; this is a fault of the program, not of the data.
    """
    for column, make in keys_of.items():
        parts = [make(read_table(folder / name, [column])) for name in SPLITS]
        splits = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(part) for part in parts])
        values = [key for part in parts for key in part]
        keys = codes(pa.array(values, pa.string()))
        leaks = np.flatnonzero(outranked(keys, splits))
        if len(leaks):
            where = [SPLITS[number] for number in np.unique(splits[keys == keys[leaks[0]]])]
            raise HeadraceError(
                f"{column} '{values[int(leaks[0])]}' stands in {' and in '.join(where)}: the splits leak and were not kept. "
                "This is a fault of the split stage; please report it with params.yaml."
            )
