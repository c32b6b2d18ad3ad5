"""Memory of large pictures on their way through the shards."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.dataset import shards
from headrace.dataset.shards import ShardWriter


def test_large_pictures_come_in_small_groups(tmp_path, monkeypatch):
    """8,192 pictures of 224 x 224 would be 1.2 GB in one row group, read and written as a whole."""
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 100)
    pixels = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((10, 5, 6, 1), dtype=np.uint8))
    table = pa.table({"id": ["x"] * 10, "image": pixels, "label": [0] * 10, "split": [""] * 10})
    with ShardWriter(tmp_path / "d", table.schema, task="t", classes=["a"], record={}) as writer:
        writer.write(table)

    groups = pq.ParquetFile(tmp_path / "d" / "part-00000.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [3, 3, 3, 1]
