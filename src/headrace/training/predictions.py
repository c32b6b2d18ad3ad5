"""predictions.parquet: what a trainer hands to `evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DataError

ATTRIBUTIONS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("weight", pa.float64())]))


def write_predictions(
    path: Path,
    *,
    ids: Sequence[str],
    splits: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    measured: Mapping[str, np.ndarray] | None = None,
    attributions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> None:
    """Write predictions.parquet: `id`, `split`, `label`, `probabilities` (one float32 per class), a row for each record.

    Args:
        path: the file to write.
        ids: record ids, as in the data set.
        splits: 'validation' or 'test', for each record.
        labels: true classes, int in [0, K).
        probabilities: (N, K), rows sum to 1.
        measured: more columns of numbers (N,), such as lengths: `evaluate` looks whether the score depends on them.
        attributions: for some ids `start`, `end` and `weight` of the pieces of a record that its prediction is due to.

    Raises:
        DataError: lengths differ, a value is not finite, or a row does not sum to 1.
    """
    values = np.asarray(probabilities, np.float32)
    if values.ndim != 2 or not len(values) == len(ids) == len(splits) == len(labels):
        raise DataError(
            f"predictions need one row for each record: {len(ids)} ids, {len(splits)} splits, {len(labels)} labels and "
            f"probabilities of shape {values.shape}."
        )
    if not np.isfinite(values).all() or (len(values) and np.abs(values.sum(axis=1) - 1).max() > 1e-3):
        raise DataError("probabilities must be finite and sum to 1 in each row. Apply a softmax, or divide by the sum.")
    table = pa.table(
        {
            "id": pa.array(list(ids), pa.string()),
            "split": pa.array(list(splits), pa.string()),
            "label": pa.array(np.asarray(labels, np.int64)),
            "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]),
            **{name: pa.array(np.asarray(column)) for name, column in (measured or {}).items()},
            **({"attributions": pa.array([attributions.get(key) for key in ids], ATTRIBUTIONS)} if attributions else {}),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
