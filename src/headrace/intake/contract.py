"""What a task's intake is: a module of this room with the task's name, which turns records as they come into rows at rest.

It is apart from the task (headrace/tasks) because `collect` alone opens it: what decodes, such as Pillow, can neither be imported by
nor rerun a stage that reads rows. A task of one's own, `module:attribute`, holds both parts, or gives them from two modules.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from headrace.errors import ParamsError
from headrace.formats.record import RawRecord
from headrace.params import Section


class Intake(Protocol):
    """Options of one record, its schema at rest, and how it gets there."""

    RecordOptions: type[Section]
    """Typed options of one record (`collect.record` in params.yaml); with `personal`, a PersonalConfig, where personal data is counted."""

    def settle(self, options: Any, raws: Sequence[RawRecord]) -> Any:
        """Options with what they leave open, such as the size of a picture, taken from the first records."""

    def record_schema(self, options: Any) -> pa.Schema:
        """Arrow schema of a record at rest: id, payload, label, split, source, origin, fault and measured columns."""

    def record_info(self, options: Any) -> dict[str, Any]:
        """What dataset.json says of one record: {"payload": column, "shape": [...], "dtype": ...}."""

    def make_rows(self, raws: Sequence[RawRecord], classes: Mapping[str, int], options: Any) -> pa.Table:
        """Decode and measure records; one that cannot be decoded stays as a row with `fault` set and an empty payload."""


def check_parts(found: Any, parts: Sequence[str], *, where: str) -> None:
    """Refuse what a name in params.yaml found when a part is missing: rooms hold other modules too.

    Raises:
        ParamsError: names the part.
    """
    for part in parts:
        if not hasattr(found, part):
            needs = "a format needs Options and read, a task RecordOptions and make_rows"
            raise ParamsError(f"{where}, which has no '{part}': {needs}.")
