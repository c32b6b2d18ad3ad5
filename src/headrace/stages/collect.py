"""Bring records in: verified files of the sources become one data set of Parquet shards, every record with where it came from.

Run by the DAG: python -m headrace.stages collect --sources data/sources.lock --out data/raw --initial models/initial
    --report reports/collect.json

The one stage that may use a network, and only for bytes whose sha256 stands in data/sources.lock.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from headrace.dataset.given_columns import write_given_columns
from headrace.intake.contract import check_parts
from headrace.intake.corrections import CorrectionReport, names_of_records, read_corrections
from headrace.intake.reading import SourceReading, choose_readers, given_columns, kept_columns, read_all
from headrace.intake.records import write_records
from headrace.intake.tally import FaultCount, SourceSummary, summarize
from headrace.listening import Progress, SilentProgress
from headrace.params import Out, Report, Section, parse_section
from headrace.plugins import resolve
from headrace.sources.fetch import fetch, unchanged
from headrace.sources.initial import bring_initial
from headrace.sources.places import Places
from headrace.sources.snapshot import check, read_lock
from headrace.sources.spec import Source, check_names


class Params(Section):
    """Where records come from and what they are."""

    task: str
    """Name in headrace/tasks, or `module:attribute` of your own; `dataset.json` carries it to the other stages."""
    format: str
    """Name in headrace/formats, or `module:attribute` of your own: how files become records."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the format."""
    record: dict[str, Any] = Field(default_factory=dict)
    """Options of one record, typed by the task."""
    sources: Annotated[list[Source], AfterValidator(check_names)] = Field(min_length=1)
    """What to read, in this order; data/sources.lock pins the bytes."""
    per_source: dict[str, SourceReading] = Field(default_factory=dict)
    """By name of a source: how it is read, where that is not how the others are. All of them make one data set."""
    classes: list[str | int] | None = None
    """Class names in the order of their integer labels; a record of another class is faulty. Null: those that occur."""
    corrections: str | None = None
    """Name of a source that is no records but corrected labels: CSV files with the columns id, label and why."""


class CollectReport(Report):
    """What came in."""

    headline: str
    """For the terminal."""
    rows: int
    by_class: dict[str, int]
    by_split: dict[str, int]
    """Rows per split as the data give it; '' where they give none."""
    duplicates: int
    """Rows whose content came before."""
    faults: dict[str, FaultCount]
    """Records that cannot be read, by kind; `validate` quarantines them."""
    personal: dict[str, int]
    """E-mail addresses and the like in the texts, by kind; empty where nobody looked."""
    sources: list[SourceSummary]


class CorrectedReport(CollectReport):
    """The same where a source corrects labels."""

    corrections: CorrectionReport


def run(
    params: Params, *, sources: Path, out: Out, initial: Out | None = None, places: Places, progress: Progress | None = None
) -> CollectReport:
    """Read, decode and measure every record of the sources; bring the weights that a training starts from."""
    progress = progress or SilentProgress()
    intake = resolve("intake", params.task, None, where="collect.task")
    check_parts(intake, ("RecordOptions", "make_rows"), where=f"collect.task is '{params.task}'")
    record = parse_section(params.record, "collect.record", intake.RecordOptions, where="params.yaml")
    names = names_of_records([source.name for source in params.sources], params.corrections)
    readers = choose_readers(params.format, params.options, params.per_source, names=names)
    lock = read_lock(sources)
    check(params.sources, lock, where=sources.name)
    if initial is not None:
        bring_initial(lock.initial, places, initial, progress)
    files = fetch(params.sources, lock, places, progress)
    classes = None if params.classes is None else [str(name) for name in params.classes]
    readings = readers.readings([file for file in files if file.source != params.corrections])
    corrected = read_corrections([file for file in files if file.source == params.corrections]) if params.corrections else None
    with unchanged(files):
        given = given_columns(readings)
        tally = write_records(
            lambda: read_all(readings),
            out,
            intake,
            record,
            task=params.task,
            classes=classes,
            progress=progress,
            kept=kept_columns(readings),
            corrections=corrected,
        )
        if given:
            write_given_columns(out, given)
    faulty = sum(fault.count for fault in tally.faults.values())
    report = CollectReport(
        headline=f"{tally.rows:,} records"
        + (f", {faulty:,} of them unreadable" if faulty else "")
        + "".join(f", {count:,} x {kind}" for kind, count in tally.personal.items() if count),
        rows=tally.rows,
        by_class=tally.by_class,
        by_split=tally.by_split,
        duplicates=tally.duplicates,
        faults=tally.faults,
        personal=tally.personal,
        sources=[
            summarize(source.name, source.kind, [(file.name, file.size, file.sha256) for file in entry.files])
            for source, entry in zip(params.sources, lock.sources, strict=True)
        ],
    )
    return CorrectedReport(**report.model_dump(), corrections=corrected.finish()) if corrected else report
