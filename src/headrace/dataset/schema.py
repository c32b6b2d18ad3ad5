"""What a data set folder says about itself: dataset.json beside its Parquet shards."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.errors import DataError

INFO_NAME = "dataset.json"

SPLITS = ("train", "validation", "test")
"""The three parts of a split data set, each a data set folder of its own under data/splits."""


class ShardInfo(BaseModel):
    """One Parquet file of a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int
    sha256: str


class DatasetInfo(BaseModel):
    """dataset.json: what the shards hold. A function of the data only: no clock, host or path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: str
    """The task's name or `module:function`; set by `collect`, carried on by every stage."""
    classes: list[str]
    """Class names in the order of the integer labels; empty for tasks without classes."""
    record: dict[str, Any]
    """What the task knows of one record, such as {"shape": [28, 28, 1], "dtype": "uint8"}."""
    rows: int
    by_class: dict[str, int]
    by_split: dict[str, int]
    """Rows per `split` value as it came with the data; '' where none was given."""
    digest: str
    """sha256 over the ids and labels in order, hex: two data sets of one digest hold the same records."""
    shards: list[ShardInfo]


def read_info(folder: Path) -> DatasetInfo:
    """Read dataset.json of a data set folder.

    Raises:
        DataError: the file is missing or is not one of ours.
    """
    path = folder / INFO_NAME
    try:
        return DatasetInfo.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a data set: it has no {INFO_NAME}. Run the stage that makes it.") from None
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be understood: {error}. It was edited by hand or written by another version.") from None
