"""Parts of the test records that are looked at on their own: by a measure of a record, or by a name that it has."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

MAX_SLICES = 20
"""Parts of one column that are looked at: the largest ones."""


def parts(measured: Mapping[str, np.ndarray]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The quarters of a measure, such as short to long texts (equal values stay together), or words, such as sources.

    Each is what to call it (`column`, `smallest`, `largest`, `records`), and which records are in it, bool (N,).
    """
    for name, values in measured.items():
        if values.dtype == object:
            part = values
        else:
            part = np.searchsorted(np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="lower")), values)
        found, counts = np.unique(part, return_counts=True)
        for number in found[np.sort(np.argsort(-counts, kind="stable")[:MAX_SLICES])]:
            inside = part == number
            ordered = sorted(values[inside].tolist())
            yield {"column": name, "smallest": ordered[0], "largest": ordered[-1], "records": int(inside.sum())}, inside
