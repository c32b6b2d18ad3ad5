"""Small tables: customers with every kind of column, whose fee and plan tell who leaves; houses, whose area and district tell the price."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.dataset.shards import ShardWriter
from headrace.formats.csv import Options, read
from headrace.formats.record import RawRecord, SourceFile
from headrace.intake import tabular as intake
from headrace.intake import tabular_regression

CLASSES = ("No", "Yes")
COLUMNS: dict[str, dict[str, Any]] = {
    "number": {"kind": "id"},
    "fee": {"kind": "numeric", "min": 0, "max": 1000, "max_missing": 0.5},
    "plan": {"kind": "categorical"},
    "size": {"kind": "ordinal", "order": ["small", "middle", "large"], "max_missing": 0.5},
    "since": {"kind": "date", "max_missing": 0.5},
    "note": {"kind": "text", "max_missing": 1},
    "house": {"kind": "group"},
    "region": {"kind": "sensitive"},
    "source": {"kind": "categorical"},
    "row": {"kind": "ignore"},
}


def options(**columns: Mapping[str, Any]) -> intake.RecordOptions:
    """The schema, with other settings of some columns."""
    return intake.RecordOptions.model_validate({"columns": {**COLUMNS, **columns}})


def customers(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Rows as a CSV file holds them, with `left` as the label; some cells are blank."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        fee, plan = float(np.round(random.uniform(5, 95), 2)), str(random.choice(["basic", "full", "rare"], p=[0.5, 0.45, 0.05]))
        leaves = (fee > 50) != (plan == "full")
        row = {
            "number": f"C{seed}-{number}",
            "fee": str(fee) if number % 10 else " ",
            "plan": plan,
            "size": str(random.choice(["small", "middle", "large", ""])),
            "since": f"{random.integers(2000, 2025)}-0{random.integers(1, 10)}-15" if number % 7 else "NA",
            "note": "",
            "house": f"H{number // 2}",
            "region": "north" if number % 3 else "south",
            "source": "phone" if number % 2 else "web",
            "row": str(number),
        }
        found.append({**row, "left": "Yes" if leaves else "No"})
    return found


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(folder: Path, content: str | bytes, *, name: str = "customers.csv", **settings: Any) -> list[RawRecord]:
    """Records as the format csv gives them."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read([SourceFile(name, path, "crm")], Options.model_validate({"label": "left", **settings})))


def write_table(
    folder: Path, rows: Sequence[Mapping[str, str]], *, classes: Sequence[str] = CLASSES, **columns: Mapping[str, Any]
) -> None:
    """A data set folder of rows with their classes."""
    schema = options(**columns)
    raws = []
    for number, row in enumerate(rows):
        payload = {name: value for name, value in row.items() if name != "left"}
        raws.append(RawRecord(payload, row["left"], "", "crm", f"row {number}", content=repr(sorted(row.items())).encode()))
    with ShardWriter(
        folder, intake.record_schema(schema), task="tabular", classes=classes, record=intake.record_info(schema)
    ) as writer:
        if raws:
            writer.write(intake.make_rows(raws, {name: number for number, name in enumerate(classes)}, schema))


HOUSES: dict[str, dict[str, Any]] = {
    "area": {"kind": "numeric", "min": 0, "max_missing": 0.5},
    "district": {"kind": "categorical", "slice": True},
    "door": {"kind": "numeric"},
    "target": {"kind": "id"},
    "price": {"kind": "target", "min": 0},
}


def houses(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Rows as a CSV file holds them, `price` among them; some areas are blank, and a column has the name of the target at rest."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        area, district = float(np.round(random.uniform(20, 200), 1)), str(random.choice(["old", "new"]))
        price = 2000 * area * (2 if district == "old" else 1) + float(random.normal(0, 5000))
        row = {"area": str(area), "district": district, "door": str(random.integers(1, 99)), "target": f"T{seed}-{number}"}
        if number % 50 == 7:
            row["area"], price = " ", 330_000.0
        found.append({**row, "price": f"{max(price, 0):.2f}"})
    return found


def house_options(**columns: Mapping[str, Any]) -> tabular_regression.RecordOptions:
    """The schema, with other settings of some columns."""
    return tabular_regression.RecordOptions.model_validate({"columns": {**HOUSES, **columns}})


def write_houses(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """A data set folder of rows with their prices."""
    schema = house_options()
    raws = [
        RawRecord(dict(row), None, "", "agent", f"row {number}", content=repr(sorted(row.items())).encode())
        for number, row in enumerate(rows)
    ]
    info = tabular_regression.record_info(schema)
    columns = tabular_regression.record_schema(schema)
    with ShardWriter(folder, columns, task="tabular_regression", classes=[], record=info) as writer:
        if raws:
            writer.write(tabular_regression.make_rows(raws, {}, schema))
