"""Put every record into train, validation or test, so that nothing leaks and new data never move an old record.

Run by the DAG: python -m headrace.stages split --validated data/validated --splits data/splits --report reports/split.json
"""

from pathlib import Path

from headrace.dataset.division import MAX_EXAMPLES, DivisionConfig, divide
from headrace.dataset.schema import read_info
from headrace.dataset.split_folders import check_no_leak, write_splits
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report
from headrace.plugins import resolve


class Params(DivisionConfig):
    """How records are divided."""


class DropReport(Report):
    """Records left out for one cause."""

    rows: int
    example_ids: list[str]


class SplitReport(Report):
    """What stands where, and what was left out."""

    headline: str
    """For the terminal."""
    by: str
    seed: int
    rows_in: int
    rows: dict[str, int]
    given: dict[str, int]
    """Records whose source said where they belong."""
    classes: dict[str, dict[str, int]]
    """Records per split and class."""
    dropped: dict[str, DropReport]
    """By split and cause."""
    contradictory_ids: int
    """Contents that stand under more than one label."""
    contradictory_examples: list[str]
    near_duplicate_tolerance: float | None
    compared: int
    """Records that share a key with one of another split and were compared on their content."""
    near_duplicate_pairs: int
    """Records left out because one in a split of higher rank is the same within the tolerance."""
    near_duplicate_examples: list[list[str]]
    """Id left out, id it is near to."""
    notes: list[str]
    """Settings that had no effect on these data, and what was not looked at as closely as the rest."""


def run(params: Params, *, validated: Path, splits: Out, progress: Progress | None = None) -> SplitReport:
    """Assign, drop what would leak, check, write the three splits, and check what was written."""
    progress = progress or SilentProgress()
    task = resolve("tasks", read_info(validated).task, None, where="collect.task")
    found = divide(validated, params, task, progress)
    write_splits(validated, splits, found.assignment.splits, progress=progress)
    groups = {params.group_column: params.groups} if params.group_column else {}
    check_no_leak(splits, {"id": lambda table: table["id"].to_pylist()} | groups)
    return SplitReport(
        headline=", ".join(f"{size:,} {name}" for name, size in found.sizes.items()),
        by=params.by,
        seed=params.seed,
        rows_in=len(found.ids),
        rows=found.sizes,
        given=found.given,
        classes=found.classes,
        dropped={
            cause: DropReport(rows=len(positions), example_ids=found.examples(positions))
            for cause, positions in found.assignment.dropped.items()
        },
        contradictory_ids=len(found.clashing),
        contradictory_examples=found.clashing[:MAX_EXAMPLES],
        near_duplicate_tolerance=params.near_duplicate_tolerance,
        compared=found.near.compared,
        near_duplicate_pairs=int((found.near.partner >= 0).sum()),
        near_duplicate_examples=found.near_pairs,
        notes=found.notes,
    )
