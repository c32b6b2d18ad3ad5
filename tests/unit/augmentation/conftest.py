"""A small training split of pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.dataset.shards import ShardWriter


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Path]:
    """Write random pictures with these labels as data set folder `splits/<name>`; returns splits."""

    def make(
        labels: Sequence[int],
        *,
        shape: tuple[int, int, int] = (6, 5, 1),
        name: str = "train",
        split: str = "",
        folder: str = "splits",
        order: Sequence[int] | None = None,
    ) -> Path:
        random = np.random.default_rng(3)
        pixels = random.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("image", pa.fixed_shape_tensor(pa.uint8(), shape)),
                ("label", pa.int64()),
                ("split", pa.string()),
                ("source", pa.string()),
                ("origin", pa.string()),
                ("fault", pa.string()),
                ("height", pa.int32()),
            ]
        )
        rows = list(order) if order is not None else list(range(len(labels)))
        classes = [f"class {label}" for label in range(max([2, *labels]) + 1)]
        record = {"payload": "image", "shape": list(shape), "dtype": "uint8"}
        target = tmp_path / folder / name
        with ShardWriter(target, schema, task="image_classification", classes=classes, record=record) as writer:
            for row in rows:
                table = {
                    "id": pa.array([f"{row:032x}"]),
                    "image": pa.FixedShapeTensorArray.from_numpy_ndarray(pixels[[row]]),
                    "label": pa.array([labels[row]]),
                    "split": pa.array([split]),
                    "source": pa.array(["camera"]),
                    "origin": pa.array([f"{row}.png"]),
                    "fault": pa.array([""]),
                    "height": pa.array([shape[0]], pa.int32()),
                }
                writer.write(pa.table(list(table.values()), schema=schema))
        return target.parent

    return make
