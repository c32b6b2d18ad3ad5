"""One row of a table, one class. What rows are, as numbers and for another task too, stands in `_rows`, which registered models carry."""

from headrace.tasks._rows import (
    are_near_duplicates,
    encode,
    features,
    fit_encoding,
    inputs,
    near_duplicate_keys,
    near_duplicate_profile,
    positions,
)

__all__ = [
    "LOSS",
    "PROGRAM",
    "are_near_duplicates",
    "encode",
    "features",
    "fit_encoding",
    "inputs",
    "near_duplicate_keys",
    "near_duplicate_profile",
    "positions",
]

LOSS = "cross_entropy"
PROGRAM = "tabular"
