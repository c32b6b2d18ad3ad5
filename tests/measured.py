"""Data sets of measured records and suites to judge them by, small enough to read."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.dataset.shards import ShardWriter

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.fixed_shape_tensor(pa.uint8(), (2, 2, 1))),
        ("label", pa.int64()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("fault", pa.string()),
        ("height", pa.int32()),
        ("std", pa.float32()),
        ("serial", pa.int64()),
    ]
)


def write_records(folder: Path, rows: int = 24, *, classes: tuple[str, ...] = ("a", "b"), **columns: Any) -> Path:
    """Write records of two classes in turn: defaults are good; a keyword gives the values of one column."""
    pixels = np.arange(rows * 4, dtype=np.uint32).astype(np.uint8).reshape(rows, 2, 2, 1)
    values = {
        "id": [f"{row:032x}" for row in range(rows)],
        "image": pa.FixedShapeTensorArray.from_numpy_ndarray(pixels) if rows else pa.array([], SCHEMA.field("image").type),
        "label": [row % 2 for row in range(rows)],
        "split": [""] * rows,
        "source": ["s"] * rows,
        "origin": [f"f:{row}" for row in range(rows)],
        "fault": [""] * rows,
        "height": [28] * rows,
        "std": [50.0] * rows,
        "serial": list(range(rows)),
        **columns,
    }
    extra = [name for name in values if name not in SCHEMA.names]
    arrays = {
        k: v if isinstance(v, pa.Array) else pa.array(v, SCHEMA.field(k).type if k not in extra else None)
        for k, v in values.items()
    }
    schema = pa.schema([*SCHEMA, *(pa.field(name, arrays[name].type) for name in extra)])
    record = {"payload": "image", "shape": [2, 2, 1], "dtype": "uint8"}
    with ShardWriter(folder, schema, task="image_classification", classes=list(classes), record=record) as writer:
        writer.write(pa.table(list(arrays.values()), schema=schema))
    return folder


def write_suite(path: Path, *lines: str) -> Path:
    """Write lines of expectations, each the inside of a YAML mapping, as a suite."""
    path.write_text("version: 1\nexpectations:\n" + "".join(f"  - {{{line}}}\n" for line in lines))
    return path
