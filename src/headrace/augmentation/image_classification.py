"""Pictures: every copy is changed by one policy of transforms, alone, with random numbers of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from headrace.augmentation.contract import MakeCopies
from headrace.augmentation.policy import Policy as Transform
from headrace.augmentation.policy import PolicyConfig, build_policy
from headrace.augmentation.seeds import copy_seed, digest

Policy = BatchPolicy = PolicyConfig


def in_batches(policy: PolicyConfig, record: Mapping[str, Any], *, where: str) -> Transform:
    """The policy for pictures (B, C, H, W) float32 in [0, 1].

    Raises:
        ParamsError: a transform is larger than the pictures.
    """
    height, width, channels = record["shape"]
    return build_policy(policy, (channels, height, width), where=where)


def augment_picture(pixels: np.ndarray, policy: Transform, *, seed: int, record_id: str, copy: int) -> np.ndarray:
    """Copy number `copy` (from 1) of one picture, uint8 (H, W, C); the same for the same arguments, whatever was made before."""
    generator = torch.Generator().manual_seed(copy_seed(seed, record_id, copy))
    record_index = torch.tensor([int(digest(record_id)[:8], 16)])
    x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    changed = policy(x, record_index, copy, generator)[0].permute(1, 2, 0)
    return (changed * 255).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()


def copier(policy: PolicyConfig, record: Mapping[str, Any], *, seed: int) -> MakeCopies:
    """Makes copies of pictures, one at a time.

    Raises:
        ParamsError: a transform is larger than the pictures.
    """
    transform, payload = in_batches(policy, record, where="augment.policy"), str(record["payload"])

    def copies(table: pa.Table, todo: Sequence[tuple[int, int]]) -> dict[str, pa.Array]:
        ids = table["id"].to_pylist()
        column = table[payload].combine_chunks()
        pixels = (column.chunk(0) if isinstance(column, pa.ChunkedArray) else column).to_numpy_ndarray()
        changed = [augment_picture(pixels[row], transform, seed=seed, record_id=ids[row], copy=copy) for row, copy in todo]
        return {payload: pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(changed))}

    return copies
