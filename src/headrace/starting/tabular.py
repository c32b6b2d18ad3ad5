"""A first look at a table whose rows have classes: what each column is, its limits, and which of them knows the answer."""

from dataclasses import replace
from typing import Any

from headrace.errors import DataError
from headrace.intake import tabular as intake
from headrace.starting import _rows as rows
from headrace.starting.cells import Column, short
from headrace.starting.columns import Table
from headrace.starting.contract import MAX_RECORDS, FirstLook, Request
from headrace.starting.measured import Measured, bad_fraction, check_classes, fault_checks, measure, rules
from headrace.starting.schema import SIGNS_OF_NOTHING, first_schema
from headrace.starting.texts import base_suite, judged_changes
from headrace.validation.columns import told_by


def look(request: Request) -> FirstLook:
    """Infer format, columns, classes, limits and the size of a first training."""
    table = rows.read_rows(request, answer="label")
    label = _label(table, request)
    options = rows.options_of(table, request, label=label.name)
    aside = {label.name, options.get("split")}
    columns = [column for column in table.columns if column.name not in aside]
    if not columns:
        raise DataError(f"{request.data} has no column beside '{label.name}': there is nothing to predict it from.")
    schema = first_schema(columns, table.rows, table.cells)
    read, what = rows.reader_of(table, request, options), f"column '{label.name}'"
    settled = rows.record_options(rows.record_section(schema, table), request, intake)
    measured = measure(read, intake, settled, limit=MAX_RECORDS, what=what, every_column=True)
    answer = rows.Answer(label.name, "label", told_by, "the mistakes of guessing are avoided")
    checks = rows.leave_out_what_tells(schema, measured.columns, intake.record_info(settled), answer)
    checks += fault_checks(measured)
    measured, unnamed = _without_signs(measured)
    checks += [*unnamed, *check_classes(measured, what), *rows.size_checks(measured, schema)]
    record = rows.record_section(schema, table)
    rows.record_options(record, request, intake)
    suite, refused = rules(measured, base_suite("tabular"))
    changes = _judged(measured) | _training(measured)
    if allowed := bad_fraction(measured, refused):
        changes["validate.max_bad_fraction"] = allowed
    found = [
        *rows.column_lines(table, schema, request, label.name),
        f"{measured.rows:,} rows, {len(measured.classes)} classes",
    ]
    collect = {"task": "tabular", "format": table.format, "options": options, "record": record, "classes": list(measured.classes)}
    return FirstLook(measured.rows, collect, "churn", changes, suite, found, checks, schema.remarks)


def _label(table: Table, request: Request) -> Column:
    few = [column for column in table.columns if column.counts and column.distinct > 1]
    label = table.column(request.label, "--label", few)
    if label.kind == "number" and not label.counts:
        raise DataError(
            f"column '{label.name}' holds {label.distinct:,} different numbers, {short(label.smallest)} to {short(label.largest)}, and "
            "this task predicts classes. To predict the number, type --task tabular-regression; to predict classes, write them into "
            f"the data, such as low and high, or name another column. The columns are\n{table.listing()}"
        )
    table.check_label(label)
    return label


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
