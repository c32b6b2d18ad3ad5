"""A first look at texts with classes: a table with a column of texts, or text files in folders named after their classes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from headrace.errors import ParamsError
from headrace.formats import csv, jsonl, parquet, text_folder
from headrace.formats.record import RawRecord
from headrace.intake import text_classification as intake
from headrace.starting.columns import Table, read_table, table_format
from headrace.starting.contract import MAX_RECORDS, FirstLook, Request
from headrace.starting.measured import Measured, bad_fraction, check_classes, fault_checks, measure, rules
from headrace.starting.texts import base_suite, judged_changes

_READERS: dict[str, Any] = {"csv": csv, "jsonl": jsonl, "parquet": parquet, "text_folder": text_folder}
_SHORT = 60
"""Words up to which a text is a sentence or two."""
_FEW = 5_000
"""Texts below which a bag of words was the better network: on 1,200 film reviews .69 of accuracy, with a block of attention .61."""


def look(request: Request) -> FirstLook:
    """Infer format, columns, classes, limits and the size of a first training."""
    found: list[str] = []
    checks: list[str] = []
    format_name = table_format(request.files)
    options: dict[str, Any] = {}
    if format_name is not None:
        table = read_table(request, format_name)
        options, told = _columns(request, table)
        found += told
    elif request.text or request.label or request.split:
        raise ParamsError(f"--text, --label and --split name columns, and {request.data} is no table (.csv, .jsonl, .parquet).")
    else:
        format_name = "text_folder"
        if request.encoding:
            options["encoding"] = request.encoding
    reader = _READERS[format_name]

    def read() -> Iterator[RawRecord]:
        yield from reader.read(request.files, reader.Options(**options))

    what = f"column '{options['label']}'" if "label" in options else str(request.data)
    measured = measure(read, intake, intake.RecordOptions(), limit=MAX_RECORDS, what=what)
    checks += check_classes(measured, what)
    suite, refused = rules(measured, base_suite("text_classification"))
    checks += fault_checks(measured)
    words = measured.columns["words"]
    found.append(f"{measured.rows:,} records, {len(measured.classes)} classes, {int(np.median(words)):,} words in the middle")
    collect = {"task": "text_classification", "format": format_name, "options": options, "classes": list(measured.classes)}
    changes = judged_changes(measured) | _training(measured)
    if allowed := bad_fraction(measured, refused):
        changes["validate.max_bad_fraction"] = allowed
    if measured.rows >= MAX_RECORDS:
        checks.append(f"Only the first {MAX_RECORDS:,} records were looked at: limits and classes are theirs.")
    return FirstLook(measured.rows, collect, "news", changes, suite, found, checks)


def _columns(request: Request, table: Table) -> tuple[dict[str, Any], Sequence[str]]:
    """What the columns mean, as options of the format, and the lines that say so."""
    texts = sorted(table.of_kind("text"), key=lambda column: -column.middle_words)
    few = [column for column in table.columns if column.counts and column.distinct > 1]
    text = table.column(request.text, "--text", texts)
    label = table.column(request.label, "--label", [column for column in few if column.name != text.name])
    if text.name == label.name:
        raise ParamsError(f"--text and --label are both '{text.name}'; the columns are\n{table.listing()}")
    if text.kind in ("number", "date", "id", "constant", "empty"):
        raise ParamsError(f"--text: column '{text.name}' holds no text ({text.words()}); the columns are\n{table.listing()}")
    table.check_label(label)
    options: dict[str, Any] = {**table.options, "payload": text.name, "label": label.name}
    meant = {text.name: "--text", label.name: "--label"}
    if request.split is not None:
        split = table.column(request.split, "--split", few)
        options["split"] = split.name
        meant[split.name] = "--split"
    width = max(len(column.name) for column in table.columns)
    shown = [f"{c.name:<{width}}  {meant.get(c.name, 'left out'):<8}  {c.words()}" for c in table.columns[:12]]
    return options, [*shown, *([f"and {len(table.columns) - 12} more columns, left out"] if len(table.columns) > 12 else [])]


def _training(measured: Measured) -> dict[str, tuple[Any, str]]:
    """A first training of minutes on two cores."""
    words = measured.columns["words"]
    records = len(words)
    long = float(np.quantile(words, 0.95))
    tokens = int(min(400, max(16, 8 * math.ceil(long * 1.25 / 8))))  # signs count as tokens, too
    epochs = max(2, min(20, round(30_000 / max(records, 1))))
    changes: dict[str, tuple[Any, str]] = {
        "train.encoding.max_tokens": (tokens, f"95 % of the texts have up to {long:,.0f} words"),
        "train.epochs": (epochs, f"{records:,} records; a choice to try"),
        "train.batch_size": (16 if records < 4_000 else 32 if records < 50_000 else 64, ""),
    }
    if records < _FEW:
        options = {"width": 64, "blocks": 0, "heads": 2, "dropout": 0.3, "token_dropout": 0.5}
        changes["train.network_options"] = (options, "blocks: 0 is a bag of words; attention wants more texts")
    if np.median(words) <= _SHORT:
        changes["split.near_duplicate_tolerance"] = (0.1, "share of the runs of three words that only one of two texts has")
        changes["train.encoding.min_count"] = (1, "")
        changes["baseline.config.min_documents"] = (1, "")
    return changes
