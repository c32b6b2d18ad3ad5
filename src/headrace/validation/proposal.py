"""What the suite and the accepted profile would have to say for the present data to be as they should: a diff for a person to judge."""

import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from headrace.storage.local import write_text
from headrace.validation.profile import (
    ColumnProfile,
    Profile,
    as_numbers,
    as_words,
    is_new,
    measure,
    read_accepted,
    readable_columns,
)
from headrace.validation.suite import COLUMN_KEYS, WHOLE_COLUMNS, load_suite

BETWEEN, IN_SET = "expect_column_values_to_be_between", "expect_column_values_to_be_in_set"

ALWAYS_KNOWN = ("id", "origin", "fault", "label", *WHOLE_COLUMNS)
"""Columns that a suite may name although the profile leaves them out or has them in another form."""


@dataclass(frozen=True)
class Proposal:
    """New texts of files."""

    files: Mapping[Path, tuple[str, str]]
    """What a file says now and what it would say, for files that would change."""

    def diff(self, root: Path) -> str:
        """All changes as one unified diff, paths relative to `root`."""
        parts = []
        for path, (before, after) in self.files.items():
            name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
            lines = difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
            )
            parts.append("".join(lines))
        return "".join(parts)

    def write(self) -> None:
        """Write the files."""
        for path, (_, after) in self.files.items():
            write_text(path, after)


def propose(raw: Path, suite: Path, accepted: Path, *, max_bad_fraction: float) -> Proposal:
    """Compare the data that came in with the suite and the accepted profile.

    A rule is widened only where it keeps back more records than `max_bad_fraction` allows: fewer are the junk that it is there for.

    Args:
        raw: the data set as it came in.
        suite: the expectations, in YAML.
        accepted: the accepted profile; need not exist.
        max_bad_fraction: of `validate`.

    Raises:
        ParamsError: the suite cannot be read.
        DataError: there is no data set.
    """
    table, _ = readable_columns(raw)
    now = measure(raw, table)
    before = read_accepted(accepted) if accepted.exists() else Profile()
    load_suite(suite, classes=["", ""])  # refuses what is no suite
    texts = {suite: _suite_text(suite, before, now, table, max_bad_fraction), accepted: now.to_json()}
    found = {}
    for path, after in texts.items():
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != after:
            found[path] = (text, after)
    return Proposal(found)


def _suite_text(suite: Path, before: Profile, now: Profile, table: pa.Table, max_bad_fraction: float) -> str:
    round_trip = YAML()  # keeps comments, builds plain values and runs no tag
    round_trip.width = 1_000_000  # a line is a rule
    round_trip.preserve_quotes = True
    round_trip.indent(mapping=2, sequence=4, offset=2)
    text = suite.read_text(encoding="utf-8")
    content = round_trip.load(text)
    lines = content["expectations"]
    changed = False
    for number in range(len(lines) - 1, -1, -1):
        columns = [lines[number][key] for key in COLUMN_KEYS if key in lines[number]] + list(lines[number].get("column_list", []))
        if before.columns and any(name in before.columns and name not in now.columns for name in columns):
            del lines[number]  # only of a column that was there: another one may be a slip of the pen
            changed = True
        else:
            changed = _widen(lines[number], now, table, max_bad_fraction) or changed
    for name, column in now.columns.items():
        if before.columns and name not in before.columns and (line := _line(name, column)) is not None:
            lines.append(line)
            lines.yaml_set_comment_before_after_key(
                len(lines) - 1, before=f"New column: what its {now.rows:,} records show.", indent=2
            )
            changed = True
    if not changed:
        return text
    out = io.StringIO()
    round_trip.dump(content, out)
    return out.getvalue()


def _widen(line: Any, now: Profile, table: pa.Table, max_bad_fraction: float) -> bool:
    """Let a rule hold for the data; False where it does, or is none that can be widened."""
    name = line.get("column")
    if name not in now.columns or name in ALWAYS_KNOWN:
        return False
    allowed = max(max_bad_fraction, 1 - float(line.get("mostly", 1)))
    column = now.columns[name]
    if line["expectation"] == BETWEEN and column.range is not None:
        numbers = as_numbers(table[name])
        limits = {key: line[key] for key in ("min_value", "max_value") if isinstance(line.get(key), int | float)}
        bad = np.zeros(len(numbers), dtype=bool)
        for key, limit in limits.items():
            bad |= numbers < limit if key == "min_value" else numbers > limit
        if bad.mean() <= allowed:
            return False
        for key, edge in (("min_value", column.range[0]), ("max_value", column.range[-1])):
            if key in limits and (edge < limits[key] if key == "min_value" else edge > limits[key]):
                line[key] = _plain(edge, column.type)
        return True
    if line["expectation"] == IN_SET and column.categories is not None:
        words = as_words(table[name])
        new = words.filter(is_new(words, [str(value) for value in line["value_set"]]))
        if len(new) <= allowed * len(words):
            return False
        line["value_set"].extend(sorted(pc.unique(new).to_pylist()))
        return True
    return False


def _line(name: str, column: ColumnProfile) -> CommentedMap | None:
    """A rule that holds for a new column."""
    arguments = dict[str, Any]()
    if column.range is not None:
        low, high = (_plain(edge, column.type) for edge in (column.range[0], column.range[-1]))
        arguments = {
            "expectation": BETWEEN,
            "column": name,
            "min_value": low,
            "max_value": high,
            "reason": f"{name} out of range",
        }
    elif column.categories is not None:
        arguments = {"expectation": IN_SET, "column": name, "value_set": column.categories, "reason": f"{name} unknown"}
    if not arguments:
        return None
    line = CommentedMap(arguments)
    line.fa.set_flow_style()
    return line


def _plain(edge: float, kind: str) -> int | float:
    return int(edge) if "int" in kind else edge
