"""One picture, one class: how pictures at rest, a uint8 column `image` (H, W, C), are read, learnt from and compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

LOSS = "cross_entropy"
PROGRAM = "image_classification"


def inputs(table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
    """uint8 (N, H, W, C), a view of the column where it is one chunk."""
    column = table.column(str(record["payload"]))
    chunks = [chunk.to_numpy_ndarray() for chunk in column.chunks if len(chunk)]
    if not chunks:
        return np.zeros((0, *record["shape"]), dtype=np.uint8)
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def features(table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
    """float32 (N, H*W*C), pixels from 0 to 1."""
    pixels = inputs(table, record)
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


def near_duplicate_keys(table: pa.Table, record: Mapping[str, Any]) -> np.ndarray:
    """uint64 (N,): difference hash of the picture on a 9 x 8 grid of block means; many unlike digits share one."""
    pixels = inputs(table, record)
    keys = np.zeros(len(pixels), dtype=np.uint64)
    for start in range(0, len(pixels), 4096):
        keys[start : start + 4096] = _difference_hash(pixels[start : start + 4096])
    return keys


def _difference_hash(pixels: np.ndarray) -> np.ndarray:
    grey = pixels.sum(axis=3, dtype=np.uint32).astype(np.float64)
    grid = _block_means(_block_means(grey, 8, axis=1), 9, axis=2)
    bits = (grid[:, :, 1:] > grid[:, :, :-1]).reshape(len(pixels), 64)
    return np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)


def _block_means(values: np.ndarray, blocks: int, *, axis: int) -> np.ndarray:
    """Means over `blocks` nearly equal parts of an axis; an axis with fewer places repeats them."""
    length = values.shape[axis]
    if length < blocks:
        repeated: np.ndarray = np.take(values, np.arange(blocks) * length // blocks, axis=axis)
        return repeated
    edges = np.arange(blocks) * length // blocks
    counts = np.diff([*edges, length])
    shape = [1] * values.ndim
    shape[axis] = blocks
    means: np.ndarray = np.add.reduceat(values, edges, axis=axis) / counts.reshape(shape)
    return means


def near_duplicate_profile(inputs: np.ndarray) -> np.ndarray:
    """float32 (N, 16): sums over 4 x 4 blocks as shares of a white picture's sum; a sum hides differences and never adds any."""
    count, height, width, channels = inputs.shape
    size = height * width * channels
    rows, columns = (np.unique(np.arange(4) * length // 4) for length in (height, width))  # fewer than 4 where a side is shorter
    profile = np.zeros((count, 4, 4), dtype=np.float32)
    at_once = max(1, 4_000_000 // size)
    for start in range(0, count, at_once):
        grey = inputs[start : start + at_once].sum(axis=3, dtype=np.int64)
        sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)
        profile[start : start + at_once, : len(rows), : len(columns)] = sums / (size * 255)
    return profile.reshape(count, 16)


def are_near_duplicates(left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the mean absolute difference of the pixels, as a share of white, is at most `tolerance`: bool (N,)."""
    difference = np.abs(left.astype(np.int16) - right.astype(np.int16)).reshape(len(left), -1)
    return np.asarray(difference.mean(axis=1) <= tolerance * 255)
