"""What a first look at rows of a table does, whether each has a class or a number to predict."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from headrace.errors import DataError, ParamsError
from headrace.formats import csv, jsonl, parquet
from headrace.formats.record import RawRecord
from headrace.intake._rows import FEATURES
from headrace.starting.columns import Table, read_table, table_format
from headrace.starting.contract import MAX_RECORDS, Request
from headrace.starting.measured import Measured
from headrace.starting.schema import DEFAULT_SIGNS, SIGNS_OF_NOTHING, Schema

_READERS: dict[str, Any] = {"csv": csv, "jsonl": jsonl, "parquet": parquet}
_TELLS = 0.95
"""What one column alone may tell of the answer; `validate` has the same."""
_SHOWN = 40
"""Columns that the terminal lists."""
_WIDE = 110


@dataclass(frozen=True)
class Answer:
    """What the model is to say, and when one column says it already."""

    name: str
    """Of its column."""
    at_rest: str
    """The column's name in a data set."""
    tell: Callable[[Any, np.ndarray, np.ndarray], float]
    """What one column alone tells, from 0 to 1, as `validate` computes it."""
    told: str
    """What the share is of."""


def read_rows(request: Request, *, answer: str) -> Table:
    """The table that was named.

    Args:
        request: what was typed.
        answer: the column that is not looked at as a feature, for messages.

    Raises:
        ParamsError: it is no table, or an option is for texts.
    """
    format_name = table_format(request.files)
    if format_name is None:
        raise ParamsError(f"{request.data} is no table (.csv, .tsv, .jsonl, .parquet; gzip too).")
    if request.text:
        raise ParamsError(
            f"--text names the text of --task text-classification. Here every column but the {answer} is looked at."
        )
    return read_table(request, format_name, nothing=SIGNS_OF_NOTHING)


def options_of(table: Table, request: Request, *, label: str | None) -> dict[str, Any]:
    """Section `collect.options`.

    Raises:
        DataError: the column that is predicted is to name the splits, too.
    """
    options = {**table.options, "label": label}
    if request.split is not None and request.split == request.label:
        raise DataError(
            f"--label and --split both name column '{request.split}'. Splits have a column of their own, or leave --split out."
        )
    if request.split is not None:
        options["split"] = table.column(request.split, "--split", [c for c in table.columns if c.counts]).name
    return options


def reader_of(table: Table, request: Request, options: Mapping[str, Any]) -> Callable[[], Iterator[RawRecord]]:
    """What reads the records as `collect` will."""
    module = _READERS[table.format]
    return lambda: module.read(request.files, module.Options(**options))


def record_section(schema: Schema, table: Table) -> dict[str, Any]:
    """Section `collect.record`; signs of nothing are named where they occur and are not among those that always count."""
    found = {str(cell).strip() for cells in table.cells.values() for cell in cells if isinstance(cell, str)}
    more = [sign for sign in SIGNS_OF_NOTHING if sign in found and sign not in DEFAULT_SIGNS]
    return {"columns": schema.columns, **({"missing_values": [*DEFAULT_SIGNS, *more]} if more else {})}


def record_options(record: Mapping[str, Any], request: Request, intake: Any) -> Any:
    """The section, typed by the intake.

    Raises:
        DataError: no column is a feature.
    """
    if not any(column["kind"] in FEATURES for column in record["columns"].values()):
        kinds = ", ".join(f"{name} ({column['kind']})" for name, column in list(record["columns"].items())[:12])
        raise DataError(f"{request.data} has no column that a model could learn from: {kinds}.")
    return intake.RecordOptions.model_validate(record)


def leave_out_what_tells(schema: Schema, columns: Mapping[str, np.ndarray], info: Mapping[str, Any], answer: Answer) -> list[str]:
    """Features that predict the answer alone become `ignore`, and what to ask about them."""
    told: list[str] = []
    if not len(columns[answer.at_rest]):
        return told
    halves = pd.Series([ord(digest[-1]) % 2 == 0 for digest in columns["id"]]).to_numpy()  # as `validate` halves them
    for column in info["columns"]:
        name = column["name"]
        if not column["feature"]:
            continue
        share = answer.tell(pd.Series(columns[column["column"]]), columns[answer.at_rest], halves)
        if share > _TELLS:
            schema.leave_out(name, f"predicts {answer.name} alone: {share:.0%} of {answer.told} by it")
            told.append(
                f"{name} predicts {answer.name} alone ({share:.0%} of {answer.told}). Was it written down when the answer "
                "was known? It is left out (kind: ignore)."
            )
    return told


def size_checks(measured: Measured, schema: Schema) -> list[str]:
    """What to look at in the whole, and in the columns."""
    first = [f"Only the first {MAX_RECORDS:,} rows were looked at: what was found is theirs."] * (measured.rows >= MAX_RECORDS)
    told = (
        f"collect.record.columns has {len(schema.columns)} columns, each with its kind, its limits and what they were taken from."
    )
    return [*first, *schema.checks, f"params.yaml: {told}"]


def column_lines(table: Table, schema: Schema, request: Request, answer: str) -> list[str]:
    """Every column in a line for the terminal: what it is taken for and what it holds."""
    meant = {name: column["kind"] for name, column in schema.columns.items()}
    meant |= {answer: "--label", **({request.split: "--split"} if request.split else {})}
    width = max(len(column.name) for column in table.columns[:_SHOWN])
    lines = [f"{c.name:<{width}}  {meant[c.name]:<11}  {c.words()}" for c in table.columns[:_SHOWN]]
    shown = [line if len(line) <= _WIDE else f"{line[: _WIDE - 4]} ..." for line in lines]
    return [*shown, *([f"and {len(table.columns) - _SHOWN} more columns"] if len(table.columns) > _SHOWN else [])]
