"""predictions.parquet of a task without classes: one number for each record."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DataError


def write_scores(
    path: Path,
    *,
    ids: Sequence[str],
    splits: Sequence[str],
    scores: np.ndarray,
    measured: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write predictions.parquet: `id`, `split`, `score` (higher is better), a row for each record.

    Args:
        path: the file to write.
        ids: record ids, as in the data set.
        splits: 'validation' or 'test', for each record.
        scores: (N,), as the task's `score` gives them.
        measured: more columns of numbers (N,), such as lengths.

    Raises:
        DataError: lengths differ, or a score is not finite.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values) == len(ids) == len(splits):
        raise DataError(
            f"scores need one row for each record: {len(ids)} ids, {len(splits)} splits, scores of shape {values.shape}."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} scores are NaN or infinite: the model is broken, or records are so "
            "much longer than those of the training split that they were not read to their end."
        )
    columns = {
        "id": pa.array(list(ids), pa.string()),
        "split": pa.array(list(splits), pa.string()),
        "score": pa.array(values),
        **{name: pa.array(np.asarray(column)) for name, column in (measured or {}).items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd", write_page_checksum=True)
