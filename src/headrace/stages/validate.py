"""Judge every record by its measured columns; quarantine the bad ones, stop when there are too many.

Run by the DAG: python -m headrace.stages validate --raw data/raw --suite expectations/image_classification.yaml
    --accepted expectations/accepted.json --validated data/validated --quarantine data/quarantine
    --results reports/validation_results.json --report reports/validate.json
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from headrace.dataset.schema import read_info
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report, Section
from headrace.storage.local import write_json
from headrace.validation.changes import ChangePolicy, ChangeReport, look_for_changes
from headrace.validation.columns import refuse_leaks, with_columns
from headrace.validation.findings import ExpectationReport, describe
from headrace.validation.loading import load_engine
from headrace.validation.measured import read_measured
from headrace.validation.quarantine import divide
from headrace.validation.suite import load_suite


class Params(Section):
    """How much may be wrong."""

    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of all records that may be quarantined before the stage fails."""
    changes: ChangePolicy = ChangePolicy()
    """What becomes of a difference to the accepted data."""
    max_told_by_one_column: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Rows of a table: share of the mistakes of guessing the most frequent class that one column alone may avoid, or of the variance
    of a number to predict that it may tell; above it the stage fails and names the column, which probably gives the label away."""


class ValidateReport(Report):
    """What goes on, what was kept back, and why."""

    headline: str
    """For the terminal."""
    rows_in: int
    rows_out: int
    quarantined: int
    bad_fraction: float
    max_bad_fraction: float
    duplicates: int
    """Records that go on and repeat the content of an earlier one; `split` collapses them."""
    classes: dict[str, int]
    """Records that go on, per class."""
    quarantined_by_reason: dict[str, int]
    """A record can have several reasons."""
    compared: str
    """The accepted data that these were compared with."""
    changes: list[ChangeReport]
    """What is different from the accepted data."""
    warnings: list[str]
    """Rules below `critical` that do not hold."""
    expectations: list[ExpectationReport]


def run(
    params: Params,
    *,
    raw: Path,
    suite: Path,
    accepted: Path,
    validated: Out,
    quarantine: Out,
    results: Out,
    progress: Progress | None = None,
) -> ValidateReport:
    """Write the good records, the bad ones with their reasons, and the engine's results; then fail if too many are bad."""
    progress = progress or SilentProgress()
    info = read_info(raw)
    rules = with_columns(load_suite(suite, classes=info.classes), info.record)
    frame = read_measured(raw, rules.columns, where=str(suite))
    changes = look_for_changes(raw, accepted, params.changes)
    # When the user's files have been read without an error: Great Expectations takes seconds to load.
    load_engine()
    from headrace.validation.verdict import judge, refuse_if_failed

    verdict = judge(rules, frame, classes=info.classes, held_back=changes.reasons)
    write_json(results, verdict.results(rules.name))
    divide(raw, verdict.bad, verdict.reasons, passed=validated, kept_back=quarantine, progress=progress)
    changes.refuse()
    refuse_if_failed(verdict, max_bad_fraction=params.max_bad_fraction)
    refuse_leaks(verdict.passed, info.record, threshold=params.max_told_by_one_column)

    labels = verdict.passed["label"].value_counts()
    lines = describe(verdict)
    differences = len(changes.reports)
    changed = f", {differences} change{'s' if differences > 1 else ''} to the accepted data" if differences else ""
    return ValidateReport(
        headline=f"{len(verdict.passed):,} kept, {int(verdict.bad.sum()):,} quarantined{changed}",
        rows_in=info.rows,
        rows_out=len(verdict.passed),
        quarantined=int(verdict.bad.sum()),
        bad_fraction=float(verdict.bad.mean()),
        max_bad_fraction=params.max_bad_fraction,
        duplicates=int(verdict.passed["id"].duplicated().sum()),
        classes={name: int(labels.get(index, 0)) for index, name in enumerate(info.classes)},
        quarantined_by_reason={words: len(positions) for words, positions in verdict.reasons if len(positions)},
        compared=changes.compared,
        changes=changes.reports,
        warnings=[line.words for line in lines if not line.success and line.severity != "critical"],
        expectations=lines,
    )
