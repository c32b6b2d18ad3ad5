"""The course of a training as a table, for plots: one row for each epoch, no clock."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows as CSV, columns in the order of the first row.

    Args:
        path: file to write; its folder is made.
        rows: one mapping for each epoch, all with the same keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
