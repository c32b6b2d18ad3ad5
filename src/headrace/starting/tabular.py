"""A first look at a table whose rows have classes: what each column is, its limits, and which of them knows the answer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from headrace.errors import DataError, ParamsError
from headrace.formats import csv, jsonl, parquet
from headrace.formats.record import RawRecord
from headrace.intake import tabular as intake
from headrace.starting.cells import Column, short
from headrace.starting.columns import Table, read_table, table_format
from headrace.starting.contract import MAX_RECORDS, FirstLook, Request
from headrace.starting.measured import Measured, bad_fraction, check_classes, fault_checks, measure, rules
from headrace.starting.schema import DEFAULT_SIGNS, SIGNS_OF_NOTHING, Schema, first_schema
from headrace.starting.texts import base_suite, judged_changes
from headrace.validation.columns import told_by

_READERS: dict[str, Any] = {"csv": csv, "jsonl": jsonl, "parquet": parquet}
_TELLS = 0.95
"""Share of the mistakes of guessing that one column may avoid; `validate` has the same."""
_SHOWN = 40
"""Columns that the terminal lists."""
_WIDE = 110


def look(request: Request) -> FirstLook:
    """Infer format, columns, classes, limits and the size of a first training."""
    format_name = table_format(request.files)
    if format_name is None:
        raise ParamsError(f"{request.data} is no table (.csv, .tsv, .jsonl, .parquet; gzip too).")
    if request.text:
        raise ParamsError("--text names the text of --task text-classification. Here every column but the label is looked at.")
    table = read_table(request, format_name, nothing=SIGNS_OF_NOTHING)
    label = _label(table, request)
    options = {**table.options, "label": label.name}
    if request.split is not None:
        options["split"] = table.column(request.split, "--split", [c for c in table.columns if c.counts]).name
    aside = {label.name, options.get("split")}
    columns = [column for column in table.columns if column.name not in aside]
    if not columns:
        raise DataError(f"{request.data} has no column beside '{label.name}': there is nothing to predict it from.")
    schema = first_schema(columns, table.rows, table.cells)
    record = _record(schema, table)
    reader = _READERS[format_name]

    def read() -> Iterator[RawRecord]:
        yield from reader.read(request.files, reader.Options(**options))

    what = f"column '{label.name}'"
    settled = _record_options(record, request)
    measured = measure(read, intake, settled, limit=MAX_RECORDS, what=what, every_column=True)
    checks = _leave_out_what_tells(schema, measured, settled, label.name)
    checks += fault_checks(measured)
    measured, unnamed = _without_signs(measured)
    checks += [*unnamed, *check_classes(measured, what)]
    record = _record(schema, table)
    _record_options(record, request)
    suite, refused = rules(measured, base_suite("tabular"))
    changes = _judged(measured) | _training(measured)
    if allowed := bad_fraction(measured, refused):
        changes["validate.max_bad_fraction"] = allowed
    if measured.rows >= MAX_RECORDS:
        checks.append(f"Only the first {MAX_RECORDS:,} rows were looked at: limits and classes are theirs.")
    checks += [
        *schema.checks,
        f"params.yaml: collect.record.columns has {len(columns)} columns, each with its kind, its limits and what they were taken from.",
    ]
    found = [*_told(table, schema, label.name, request.split), f"{measured.rows:,} rows, {len(measured.classes)} classes"]
    collect = {"task": "tabular", "format": format_name, "options": options, "record": record, "classes": list(measured.classes)}
    return FirstLook(measured.rows, collect, "churn", changes, suite, found, checks, schema.remarks)


def _label(table: Table, request: Request) -> Column:
    few = [column for column in table.columns if column.counts and column.distinct > 1]
    label = table.column(request.label, "--label", few)
    if label.kind == "number" and not label.counts:
        raise DataError(
            f"column '{label.name}' holds {label.distinct:,} different numbers, {short(label.smallest)} to {short(label.largest)}: to "
            "predict a number is regression, another task, and this one predicts classes. Make classes of them in the data, such as "
            f"low and high, or name another column. The columns are\n{table.listing()}"
        )
    table.check_label(label)
    return label


def _record(schema: Schema, table: Table) -> dict[str, Any]:
    """Section `collect.record`; signs of nothing are named where they occur and are not among those that always count."""
    found = {str(cell).strip() for cells in table.cells.values() for cell in cells if isinstance(cell, str)}
    more = [sign for sign in SIGNS_OF_NOTHING if sign in found and sign not in DEFAULT_SIGNS]
    return {"columns": schema.columns, **({"missing_values": [*DEFAULT_SIGNS, *more]} if more else {})}


def _record_options(record: Mapping[str, Any], request: Request) -> intake.RecordOptions:
    if not any(column["kind"] in intake.FEATURES for column in record["columns"].values()):
        kinds = ", ".join(f"{name} ({column['kind']})" for name, column in list(record["columns"].items())[:12])
        raise DataError(f"{request.data} has no column that a model could learn from: {kinds}.")
    return intake.RecordOptions.model_validate(record)


def _without_signs(measured: Measured) -> tuple[Measured, list[str]]:
    """Classes without those that mean that there is none."""
    named = {name: count for name, count in measured.classes.items() if name in SIGNS_OF_NOTHING}
    if not named:
        return measured, []
    classes = {name: count for name, count in measured.classes.items() if name not in named}
    signs = ", ".join(repr(name) for name in named)
    told = f"{sum(named.values()):,} rows have {signs} for a label. It is none of collect.classes: they go to data/quarantine."
    faults = {**measured.faults, "unknown class": measured.faults.get("unknown class", 0) + sum(named.values())}
    return replace(measured, classes=classes, faults=faults), [told]


def _leave_out_what_tells(schema: Schema, measured: Measured, settled: intake.RecordOptions, label: str) -> list[str]:
    """Features that predict the label alone become `ignore`, and what to ask about them."""
    columns, told = measured.columns, []
    if not len(columns["label"]):
        return []
    halves = [ord(digest[-1]) % 2 == 0 for digest in columns["id"]]  # as `validate` halves them
    for column in intake.record_info(settled)["columns"]:
        name = column["name"]
        if not column["feature"]:
            continue
        share = told_by(pd.Series(columns[column["column"]]), columns["label"], pd.Series(halves).to_numpy())
        if share > _TELLS:
            schema.leave_out(name, f"predicts {label} alone: {share:.0%} of the mistakes of guessing are avoided by it")
            told.append(
                f"{name} predicts {label} alone ({share:.0%} of the mistakes of guessing are avoided). Was it written down when the answer "
                "was known? It is left out (kind: ignore)."
            )
    return told


def _judged(measured: Measured) -> dict[str, tuple[Any, str]]:
    changes = judged_changes(measured)
    del changes[
        "evaluate.thresholds.min_accuracy"
    ]  # of 1 customer in 20 who leaves, a good model names hardly one with certainty
    changes["evaluate.thresholds.min_roc_auc_macro"] = (0.6, "0.5 is a coin; raise it to what you need")
    return changes


def _training(measured: Measured) -> dict[str, tuple[Any, str]]:
    """A first training of seconds on two cores: on tables of some thousand rows trees are hard to beat."""
    records = measured.rows - measured.bad
    few = records < 3000
    trees = {"rounds": 200, "learning_rate": 0.03, "leaves": 6, "columns": 0.3}
    if records >= 20_000:
        trees = {"rounds": 300, "learning_rate": 0.05, "leaves": 15, "columns": 0.5}
    return {
        "train.trainer": ("gradient_boosted_trees", "network: what `network` names, with the keys from `threads` to `schedule`"),
        "train.trainer_options": (trees, f"{records:,} records; a choice to try"),
        "train.network_options": ({"hidden": [32] if few else [64, 32], "dropout": 0.2}, ""),
        "train.epochs": (max(3, min(30, round(90_000 / max(records, 1)))), ""),
        "train.batch_size": (32 if few else 64 if records < 50_000 else 256, ""),
    }


def _told(table: Table, schema: Schema, label: str, split: str | None) -> list[str]:
    meant = {label: "--label", **({split: "--split"} if split else {})}
    meant |= {name: column["kind"] for name, column in schema.columns.items()}
    width = max(len(column.name) for column in table.columns[:_SHOWN])
    lines = [f"{c.name:<{width}}  {meant[c.name]:<11}  {c.words()}" for c in table.columns[:_SHOWN]]
    shown = [line if len(line) <= _WIDE else f"{line[: _WIDE - 4]} ..." for line in lines]
    return [*shown, *([f"and {len(table.columns) - _SHOWN} more columns"] if len(table.columns) > _SHOWN else [])]
