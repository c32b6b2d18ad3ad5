"""Splits by time: train before a cutoff, then validation, then test. A time without a zone is refused unless params say that it is UTC."""

import contextlib
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from headrace.dataset.splits import DROPPED, TEST, TRAIN, VALIDATION
from headrace.errors import DataError, ParamsError
from headrace.params import Section

DAY_US = 86_400_000_000


class TimeConfig(Section):
    """Cutoffs of a split by time."""

    column: str
    validation_from: str
    """ISO 8601 with zone, such as 2025-01-31T00:00:00Z: what is earlier is train."""
    test_from: str
    """ISO 8601 with zone: what is not earlier is test."""
    without_zone: Literal["refuse", "utc"] = "refuse"
    """What becomes of a column whose times or dates have no zone: refuse it, or take them for UTC."""
    embargo_days: float = Field(default=0.0, ge=0)
    """What is closer before a cutoff is dropped: it may overlap what comes after."""


def assign_by_time(times: np.ndarray, config: TimeConfig) -> np.ndarray:
    """Split numbers by time, int8 (N,), DROPPED inside the embargo.

    Args:
        times: int64 (N,), microseconds since 1970, UTC.
        config: cutoffs and embargo.

    Raises:
        ParamsError: a cutoff that is no time with a zone, or test from a time before validation.
    """
    validation_from = parse_instant(config.validation_from, where="split.time.validation_from")
    test_from = parse_instant(config.test_from, where="split.time.test_from")
    if test_from <= validation_from:
        raise ParamsError(
            f"split.time.test_from ({config.test_from}) must be later than validation_from ({config.validation_from})."
        )
    embargo = round(config.embargo_days * DAY_US)
    splits = np.full(len(times), TRAIN, dtype=np.int8)
    for cutoff, number in ((validation_from, VALIDATION), (test_from, TEST)):
        splits[(times >= cutoff - embargo) & (times < cutoff)] = DROPPED
        splits[times >= cutoff] = number
    return splits


def parse_instant(text: str, *, where: str) -> int:
    """Microseconds of an ISO 8601 time with zone, such as 2025-01-31T00:00:00Z.

    Raises:
        ParamsError: not ISO 8601, or without a zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ParamsError(f"{where} is '{text}', not an ISO 8601 time such as 2025-01-31T00:00:00Z.") from None
    if moment.tzinfo is None:
        raise ParamsError(f"{where} is '{text}', a time without a zone. Add Z for UTC or an offset such as +01:00.")
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def to_instants(values: pa.ChunkedArray, *, column: str, without_zone: Literal["refuse", "utc"] = "refuse") -> np.ndarray:
    """A column of timestamps, dates or ISO 8601 text as int64 (N,).

    Args:
        values: the column.
        column: its name, for messages.
        without_zone: whether times without a zone are refused or those of UTC.

    Raises:
        DataError: another type, no zone, or a missing value.
    """
    if values.null_count:
        raise DataError(
            f"column '{column}' has no time in {values.null_count} records. Let the suite quarantine them (not null)."
        )
    kind = values.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (pa.types.is_temporal(kind) and not pa.types.is_time(kind) and not pa.types.is_duration(kind)) and not is_text:
        raise DataError(f"column '{column}' holds {kind}, not times. Name another in split.time.column.")
    say = "Collect them as UTC, or say split.time.without_zone: utc if that is what they are."
    if not is_text and getattr(kind, "tz", None) is None and without_zone == "refuse":
        raise DataError(f"column '{column}' holds times without a zone. {say}")
    try:
        moments = _parsed(values, without_zone) if is_text else pc.cast(values, pa.timestamp("us"), safe=False)
    except pa.ArrowInvalid as error:
        raise DataError(f"column '{column}' holds what is no ISO 8601 time with a zone: {error}. {say}") from None
    return np.asarray(pc.cast(moments, pa.int64()).combine_chunks())


def _parsed(texts: pa.ChunkedArray, without_zone: Literal["refuse", "utc"]) -> pa.ChunkedArray:
    if without_zone == "utc":
        with contextlib.suppress(pa.ArrowInvalid):  # they may have zones all the same
            return pc.cast(texts, pa.timestamp("us"))
    return pc.cast(texts, pa.timestamp("us", tz="UTC"))
