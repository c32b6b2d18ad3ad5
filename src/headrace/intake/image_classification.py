"""Pictures on their way in: decoded once, brought to one size and measured, into a fixed-shape uint8 column `image` (H, W, C)."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from headrace.errors import DataError
from headrace.formats.image import Decoded, decode, fit
from headrace.formats.record import RawRecord
from headrace.params import Section

_GROUP = 16

_MEASURED = pa.schema(
    [
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
        ("mode", pa.string()),
        ("mean", pa.float32()),
        ("std", pa.float32()),
        ("bytes", pa.int64()),
    ]
)
"""height, width, channels, mode and bytes are the file's own, before conversion; mean and std are of the pixels at rest."""


class RecordOptions(Section):
    """Size of a picture at rest. What is left out is taken from the first pictures, which must then all agree."""

    height: int | None = Field(default=None, gt=0, le=16_384)
    width: int | None = Field(default=None, gt=0, le=16_384)
    channels: Literal[1, 3, 4] | None = None
    fit: Literal["exact", "stretch", "crop", "pad"] = "exact"
    """How a picture of another size is brought to height x width; exact: it is a faulty record."""
    max_pixels: int = Field(default=50_000_000, gt=0, le=80_000_000)
    """A picture with more pixels is a faulty record, judged from its header: 400 megapixels fit into 388 kB of PNG."""
    first_frame: bool = False
    """Take the first frame of an animation; else an animation is a faulty record."""


class _Row(NamedTuple):
    pixels: np.ndarray | None
    height: int
    width: int
    channels: int
    mode: str
    num_bytes: int
    fault: str


def settle(options: RecordOptions, raws: Sequence[RawRecord]) -> RecordOptions:
    """Fill in the size that most of the first records have.

    Raises:
        DataError: not one of them can be decoded.
    """
    if options.height and options.width and options.channels:
        return options
    seen = Counter(pixels.shape for row in _decode_all(raws, options) if (pixels := row.pixels) is not None)
    if not seen:
        reason = next((raw.fault or _decode(raw, options).fault for raw in raws), "there is no record")
        raise DataError(
            f"not one of the first {len(raws)} pictures can be read ({reason}). Check collect.format and collect.options."
        )
    height, width, channels = seen.most_common(1)[0][0]
    return options.model_copy(
        update={
            "height": options.height or height,
            "width": options.width or width,
            "channels": options.channels or channels,
        }
    )


def record_schema(options: RecordOptions) -> pa.Schema:
    """id, image, label, split, source, origin, fault and the measured columns."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.fixed_shape_tensor(pa.uint8(), _shape(options))),
            ("label", pa.int64()),
            ("split", pa.string()),
            ("source", pa.string()),
            ("origin", pa.string()),
            ("fault", pa.string()),
            *_MEASURED,
        ]
    )


def record_info(options: RecordOptions) -> dict[str, Any]:
    """Payload column, shape (H, W, C) and type, for dataset.json."""
    return {"payload": "image", "shape": list(_shape(options)), "dtype": "uint8"}


def _shape(options: RecordOptions) -> tuple[int, int, int]:
    if not (options.height and options.width and options.channels):
        raise DataError("the size of a picture is not settled: set height, width and channels in collect.record.")
    return options.height, options.width, options.channels


def make_rows(raws: Sequence[RawRecord], classes: Mapping[str, int], options: RecordOptions) -> pa.Table:
    """Decode, bring to size and measure; a picture that cannot be read is a row with `fault` set and null pixels."""
    shape = _shape(options)
    rows = [
        row._replace(fault=row.fault or raw.label_fault(classes))
        for raw, row in zip(raws, _decode_all(raws, options), strict=True)
    ]
    pixels = np.zeros((len(rows), *shape), dtype=np.uint8)
    for index, row in enumerate(rows):
        if row.pixels is not None:
            pixels[index] = row.pixels
    present = np.array([row.pixels is not None for row in rows], dtype=bool)
    mean, std = _mean_and_std(pixels.reshape(len(rows), -1))
    # Black, not null: pyarrow 25 writes a null in a column of fixed size to Parquet, and then cannot read the file.
    storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), int(np.prod(shape)))
    columns = [
        pa.array([_record_id(raw) for raw in raws]),
        pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), shape), storage),
        pa.array([-1 if raw.label is None else classes.get(raw.label, -1) for raw in raws], pa.int64()),
        pa.array([raw.split for raw in raws]),
        pa.array([raw.source for raw in raws]),
        pa.array([raw.origin for raw in raws]),
        pa.array([row.fault for row in rows]),
        pa.array([row.height for row in rows], pa.int32()),
        pa.array([row.width for row in rows], pa.int32()),
        pa.array([row.channels for row in rows], pa.int32()),
        pa.array([row.mode for row in rows]),
        pa.array(mean, pa.float32(), mask=~present),
        pa.array(std, pa.float32(), mask=~present),
        pa.array([row.num_bytes for row in rows], pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=record_schema(options))


def _record_id(raw: RawRecord) -> str:
    if raw.content is None and isinstance(raw.payload, np.ndarray):
        return raw.make_id(raw.payload.tobytes())
    return raw.make_id(raw.payload if isinstance(raw.payload, bytes) else None)


def _decode_all(raws: Sequence[RawRecord], options: RecordOptions) -> list[_Row]:
    if all(isinstance(raw.payload, np.ndarray) for raw in raws):
        return [_decode(raw, options) for raw in raws]
    # Pillow's decoders release the interpreter lock. Pictures go by the dozen: handing out one costs as much as decoding it.
    groups = [raws[start : start + _GROUP] for start in range(0, len(raws), _GROUP)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(chain.from_iterable(pool.map(lambda group: [_decode(raw, options) for raw in group], groups)))


def _decode(raw: RawRecord, options: RecordOptions) -> _Row:
    payload = raw.payload
    size = len(payload) if isinstance(payload, bytes) else payload.nbytes if isinstance(payload, np.ndarray) else 0
    if raw.fault:
        return _Row(None, 0, 0, 0, "", size, raw.fault)
    if isinstance(payload, bytes):
        found = decode(payload, channels=options.channels, max_pixels=options.max_pixels, first_frame=options.first_frame)
    else:
        found = _from_array(payload, options)
    pixels, fault = _at_size(found, options)
    return _Row(pixels, found.height, found.width, found.channels, found.mode, size, fault)


def _at_size(found: Decoded, options: RecordOptions) -> tuple[np.ndarray | None, str]:
    """Pixels of the settled size, or why there are none."""
    if found.pixels is None:
        return None, found.fault
    pixels = found.pixels
    if options.channels and pixels.shape[2] != options.channels:
        return None, f"channels: {pixels.shape[2]}, expected {options.channels}"
    if options.height and options.width:
        fitted = fit(pixels, options.height, options.width, options.fit)
        if fitted is None:
            fault = f"size: {pixels.shape[0]} x {pixels.shape[1]}, expected {options.height} x {options.width}"
            return None, f"{fault}; collect.record.fit may be stretch, crop or pad"
        pixels = fitted
    return pixels, ""


def _from_array(payload: Any, options: RecordOptions) -> Decoded:
    """Pixels that came as numbers: an array (H, W, C), or a flat list of height x width x channels values."""
    if isinstance(payload, list):
        try:
            payload = np.asarray(payload).reshape(_shape(options))
        except ValueError:
            return Decoded(None, fault=f"pixels: {len(payload)} values, expected {int(np.prod(_shape(options)))}")
    if not isinstance(payload, np.ndarray):
        return Decoded(
            None, fault=f"not an image: the format gave a {type(payload).__name__}; set the payload in collect.options"
        )
    if payload.dtype != np.uint8:
        if payload.dtype.kind not in "iu" or payload.min() < 0 or payload.max() > 255:
            return Decoded(None, fault=f"pixels: {payload.dtype} values outside 0 to 255")
        payload = payload.astype(np.uint8)
    if payload.ndim != 3:
        return Decoded(None, fault=f"pixels: {payload.ndim} dimensions, expected height, width, channels")
    height, width, channels = payload.shape
    return Decoded(payload, "L" if channels == 1 else "RGB", height, width, channels)


def _mean_and_std(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row of uint8 (N, F), from exact integer sums: the same bits on every machine."""
    total = np.uint32 if flat.shape[1] < 1 << 16 else np.uint64
    squares = flat.astype(np.uint16)
    squares *= squares  # 255 squared still fits
    mean = flat.sum(axis=1, dtype=total) / flat.shape[1]
    variance = squares.sum(axis=1, dtype=total) / flat.shape[1] - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))
