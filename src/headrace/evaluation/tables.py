"""Tables for `dvc plots`: one CSV per curve, written the same way every time."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.storage.local import write_text


def write_tables(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write `<name>.csv` for every table that has rows; an undefined number is an empty cell."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if rows:
            text = io.StringIO()
            writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_text(folder / f"{name}.csv", text.getvalue())
