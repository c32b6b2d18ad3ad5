"""The columns that tables had when they came in, in columns.json beside the shards: a format keeps only those that the options mean."""

import json
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import DataError
from headrace.storage.local import write_json

NAME = "columns.json"

GivenColumns = dict[str, dict[str, str]]
"""Source to column to kind, such as {"shop": {"price": "number"}}."""


def write_given_columns(folder: Path, given: Mapping[str, Mapping[str, str]]) -> None:
    """Write columns.json of a data set folder."""
    write_json(folder / NAME, given)


def read_given_columns(folder: Path) -> GivenColumns:
    """What columns.json says; empty where the data came without columns.

    Raises:
        DataError: the file is not one of ours.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(source): {str(name): str(kind) for name, kind in columns.items()} for source, columns in found.items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path} cannot be understood: {error}. Run `headrace run --stage collect --force`.") from None
