"""The typed difference between a data set and the accepted one, and what becomes of each kind of change."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from headrace.dataset.shards import read_table
from headrace.errors import ValidationFailed
from headrace.params import Report, Section
from headrace.validation.profile import Profile, as_numbers, as_words, is_new, measure, read_accepted, readable_columns

MAX_EXAMPLES = 5
MAX_WORDS = 10

Policy = Literal["accept", "quarantine", "fail"]
Kind = Literal["columns_added", "columns_removed", "columns_retyped", "new_categories", "shifted_ranges"]


class ChangePolicy(Section):
    """What becomes of a change against expectations/accepted.json.

    accept: it is reported; quarantine: the records concerned are kept back (all of them where a column as a whole changed, which
    max_bad_fraction then judges); fail: the stage stops.
    """

    columns_added: Policy = "accept"
    columns_removed: Policy = "fail"
    columns_retyped: Policy = "fail"
    new_categories: Policy = "accept"
    """A value that a column of at most 100 different values did not have: a word, a class, a source."""
    shifted_ranges: Policy = "accept"
    """A number outside the accepted range, or a median outside the range of the middle 90 % of the accepted values."""
    range_slack: Annotated[float, Field(ge=0)] = 0.1
    """How far a number may lie outside the accepted range, as a share of its width."""


class ChangeReport(Report):
    """One change."""

    kind: Kind
    column: str
    source: str
    """Set where the change is of a table as it came, before anything was made of its columns."""
    accepted: str
    found: str
    records: int
    """Records concerned."""
    example_ids: list[str]
    policy: Policy

    @property
    def words(self) -> str:
        """The change in a sentence."""
        where = f"column '{self.column}'" + (f" of source '{self.source}'" if self.source else "")
        told = {
            "columns_added": f"{where} is new ({self.found})",
            "columns_removed": f"{where} is gone (accepted as {self.accepted})",
            "columns_retyped": f"{where} is {self.found}, accepted as {self.accepted}",
            "new_categories": f"{where} has values that were not accepted: {self.found}",
            "shifted_ranges": f"{where} is {self.found}, accepted {self.accepted}",
        }
        return told[self.kind]


@dataclass(frozen=True)
class Changes:
    """Everything that differs from the accepted data."""

    reports: list[ChangeReport]
    reasons: list[tuple[str, np.ndarray]]
    """For quarantine: words, and ascending positions of the records."""
    compared: str
    """With what, in words."""

    def refuse(self) -> None:
        """Stop where a policy says so.

        Raises:
            ValidationFailed: names each change, and what to type.
        """
        if any(report.policy == "fail" for report in self.reports):
            lines = [f"{report.words} (validate.changes.{report.kind}: {report.policy})" for report in self.reports]
            raise ValidationFailed(
                "the data are not as they were accepted (expectations/accepted.json):\n  "
                + "\n  ".join(lines)
                + "\nMend the source. If the data are right now, `headrace suite update` shows what accepting them changes, "
                "`headrace suite update --write` does it."
            )


@dataclass(frozen=True)
class _Found:
    kind: Kind
    column: str
    accepted: str
    found: str
    concerned: np.ndarray
    """bool (N,), over the records that can be read."""
    source: str = ""


def look_for_changes(raw: Path, accepted: Path, policy: ChangePolicy) -> Changes:
    """Compare a data set with the accepted profile.

    Raises:
        ParamsError: the accepted profile cannot be read.
    """
    before = read_accepted(accepted)
    if not before.columns:
        return Changes([], [], "nothing was accepted yet")
    sources = pc.unique(read_table(raw, ["source"])["source"]).to_pylist()
    if not set(before.sources) & set(sources):
        return Changes([], [], f"the accepted data are of {', '.join(before.sources)}: nothing to compare")
    table, positions = readable_columns(raw)
    ids = read_table(raw, ["id"])["id"]
    reports, reasons = [], []
    for change in _compare(before, measure(raw, table), table, policy.range_slack):
        here = positions[change.concerned]
        report = ChangeReport(
            kind=change.kind,
            column=change.column,
            source=change.source,
            accepted=change.accepted,
            found=change.found,
            records=len(here),
            example_ids=[ids[int(position)].as_py() for position in here[:MAX_EXAMPLES]],
            policy=getattr(policy, change.kind),
        )
        reports.append(report)
        if report.policy == "quarantine" and len(here):
            reasons.append((report.words, here))
    return Changes(reports, reasons, f"{before.rows:,} accepted records of {', '.join(before.sources)}")


def _compare(before: Profile, now: Profile, table: pa.Table, slack: float) -> Iterator[_Found]:
    everybody = np.ones(table.num_rows, dtype=bool)
    yield from _given(before, now, table)
    told = {name for given in (before.given, now.given) for columns in given.values() for name in columns}
    for name, column in now.columns.items():
        if name not in before.columns:
            if name not in told:
                yield _Found("columns_added", name, "", column.type, everybody)
            continue
        old = before.columns[name]
        if column.type != old.type:
            yield _Found("columns_retyped", name, old.type, column.type, everybody)
            continue
        if old.categories is not None:
            yield from _categories(name, old.categories, table[name])
        if old.range is not None and column.range is not None:
            yield from _range(name, old.range, column.range, table[name], slack)
    for name, column in before.columns.items():
        if name not in now.columns and name not in told:
            yield _Found("columns_removed", name, column.type, "", everybody)


def _given(before: Profile, now: Profile, table: pa.Table) -> Iterator[_Found]:
    """Changes of tables as they came; a source that was not there before is a new category of the column `source`."""
    for source in sorted(before.given.keys() & now.given.keys()):
        old, new = before.given[source], now.given[source]
        here = np.asarray(pc.equal(table["source"], source))
        for name in [*old, *(name for name in new if name not in old)]:
            if name not in new:
                yield _Found("columns_removed", name, old[name], "", here, source)
            elif name not in old:
                yield _Found("columns_added", name, "", new[name], here, source)
            elif old[name] != new[name] and "empty" not in (old[name], new[name]):
                yield _Found("columns_retyped", name, old[name], new[name], here, source)


def _categories(name: str, accepted: list[str], values: pa.ChunkedArray) -> Iterator[_Found]:
    words = as_words(values)
    concerned = is_new(words, accepted)
    if pc.any(concerned).as_py():
        new = sorted(pc.unique(words.filter(concerned)).to_pylist())
        shown = ", ".join(repr(word[:50]) for word in new[:MAX_WORDS])
        more = f" and {len(new) - MAX_WORDS:,} more" if len(new) > MAX_WORDS else ""
        yield _Found("new_categories", name, f"{len(accepted)} values", shown + more, np.asarray(concerned))


def _range(name: str, old: list[float], now: list[float], values: pa.ChunkedArray, slack: float) -> Iterator[_Found]:
    low, near_low, _, near_high, high = old
    numbers = as_numbers(values)
    room = slack * (high - low)
    outside = (numbers < low - room) | (numbers > high + room)
    if outside.any():
        yield _Found("shifted_ranges", name, f"{low:g} to {high:g}", f"{now[0]:g} to {now[-1]:g}", outside)
    elif not near_low <= now[2] <= near_high:
        middle = f"nine of ten from {near_low:g} to {near_high:g}"
        yield _Found("shifted_ranges", name, middle, f"{now[2]:g} at its median", np.isfinite(numbers))
