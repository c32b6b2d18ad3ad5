"""model.json: what a model folder says of itself, whoever trained it, and whatever file its model is in."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.errors import DataError

INFO_NAME = "model.json"


class NetworkInfo(BaseModel):
    """How to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Module of headrace/networks, or `module:function` of the user's code."""
    options: dict[str, Any]


class CandidateInfo(BaseModel):
    """model.json. A function of the training's inputs only: no clock, host or path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: str
    classes: list[str]
    record: dict[str, Any]
    """What dataset.json says of one record."""
    network: NetworkInfo
    program: str = "image_classification"
    """The program around the network: module of headrace/training with `from_description(network, description)`."""
    description: dict[str, Any]
    """What the program is made from; images: `preprocessing` and `prediction`; texts: `encoding` too, with the vocabulary."""
    parameters: int
    """Number of weights, trained or not."""
    seed: int | None = None
    fingerprint: str = ""
    training: dict[str, Any] = Field(default_factory=dict)
    """What the trainer wants to be remembered of the training, such as epochs and steps."""


def read_candidate_info(folder: Path) -> CandidateInfo:
    """Read model.json.

    Raises:
        DataError: it is missing or not one of ours.
    """
    path = folder / INFO_NAME
    try:
        return CandidateInfo.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a model folder: it has no {INFO_NAME}. Run the stage `train`.") from None
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} cannot be understood: {error}. It was edited by hand or written by another version.") from None
