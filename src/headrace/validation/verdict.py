"""From a suite and a frame to a verdict: which records are bad and why, and whether the rest may go on.

Three passes, each on the records the pass before let through: can it be read, is it good by itself, are all good together.
So a picture that cannot be decoded counts once, and class balance is that of the records that go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from headrace.errors import ParamsError, ValidationFailed
from headrace.validation.engine import Check, Outcome, build_checks, run_checks
from headrace.validation.measured import ALWAYS, add_class_columns
from headrace.validation.suite import WHOLE_COLUMNS, Line, Suite

MAX_EXAMPLES = 5
NOT_NULL = "expect_column_values_to_not_be_null"


@dataclass(frozen=True)
class Verdict:
    """What the suite says of a data set."""

    ids: "pd.Series[str]"
    outcomes: list[Outcome]
    bad: np.ndarray
    """bool, one per record: it goes to quarantine."""
    passed: pd.DataFrame
    """Measured columns of the records that go on."""
    held_back: Sequence[tuple[str, np.ndarray]] = ()
    """What was kept back before the suite saw it: words and ascending positions."""

    @property
    def reasons(self) -> list[tuple[str, np.ndarray]]:
        """Each reason with the positions of the records quarantined for it, ascending; in the order of the suite."""
        return [*self.held_back, *((o.check.line.words, o.bad) for o in self.outcomes if quarantines(o))]

    def examples(self, positions: np.ndarray) -> list[str]:
        """Ids of the first few records at these positions."""
        return [str(self.ids.iloc[position]) for position in positions[:MAX_EXAMPLES]]

    def results(self, suite: str) -> dict[str, Any]:
        """The engine's results as one JSON value, the same for the same data and suite."""
        successes = sum(outcome.success for outcome in self.outcomes)
        return {
            "success": successes == len(self.outcomes),
            "suite_name": suite,
            "suite_parameters": {},
            "results": [
                {**o.result, "meta": {"reason": o.check.line.words, "example_ids": self.examples(o.bad)}} for o in self.outcomes
            ],
            "statistics": {
                "evaluated_expectations": len(self.outcomes),
                "successful_expectations": successes,
                "unsuccessful_expectations": len(self.outcomes) - successes,
                "success_percent": 100 * successes / len(self.outcomes),
            },
            "meta": {"records": len(self.ids), "quarantined": int(self.bad.sum())},
        }


def quarantines(outcome: Outcome) -> bool:
    """Whether records that fail this check are kept back; less than critical is reported only."""
    return outcome.check.by_row and outcome.check.line.severity == "critical"


def judge(
    suite: Suite, frame: pd.DataFrame, *, classes: Sequence[str], held_back: Sequence[tuple[str, np.ndarray]] = ()
) -> Verdict:
    """Run the suite and what is always required on a frame of measured columns.

    Args:
        suite: the expectations.
        frame: measured columns.
        classes: names by label.
        held_back: records that are bad already: words and ascending positions.

    Raises:
        ParamsError: the suite names what does not exist.
        EngineError: the engine could not evaluate an expectation.
    """
    own = build_checks(suite.lines, where=f"suite '{suite.name}'")
    _check_columns(own)
    by_row = [check for check in own if check.by_row]
    readable = [check for check in by_row if check.line.columns == ("fault",)]
    alone = [*build_checks(_finite_lines(suite), where="always"), *(check for check in by_row if check not in readable)]
    together = [*build_checks(_required_lines(classes), where="always"), *(check for check in own if not check.by_row)]

    bad = np.zeros(len(frame), dtype=bool)
    for _, positions in held_back:
        bad[positions] = True
    outcomes: list[Outcome] = []
    for checks in (readable, alone):
        found = run_checks(checks, frame[~bad])
        for outcome in found:
            if quarantines(outcome):
                bad[outcome.bad] = True
        outcomes += found
    passed = frame[~bad]
    outcomes += run_checks(together, add_class_columns(passed))
    return Verdict(ids=frame["id"], outcomes=outcomes, bad=bad, passed=passed, held_back=held_back)


def _check_columns(checks: Sequence[Check]) -> None:
    for check in checks:
        whole = [column for column in check.line.columns if column in WHOLE_COLUMNS]
        if whole and check.by_row:
            raise ParamsError(
                f"{check.line.expectation} judges one record at a time, but '{whole[0]}' is known when all have been judged. "
                "Use an expectation about the column as a whole, such as expect_column_min_to_be_between."
            )


def _finite_lines(suite: Suite) -> list[Line]:
    # Great Expectations skips missing values, so a column of NaN would pass every rule but this.
    given = {column for line in suite.lines if line.expectation == NOT_NULL for column in line.columns}
    wanted = [column for column in suite.columns if column not in given and column not in ALWAYS]
    return [
        Line(expectation=NOT_NULL, reason=f"{column} is missing or not finite", arguments={"column": column}) for column in wanted
    ]


def _required_lines(classes: Sequence[str]) -> list[Line]:
    rows = Line(expectation="expect_table_row_count_to_be_between", reason="no record is left", arguments={"min_value": 1})
    if not classes:
        return [rows]
    several = {"column": "label", "min_value": 2}
    return [
        rows,
        Line(expectation="expect_column_unique_value_count_to_be_between", reason="fewer than two classes", arguments=several),
    ]


def refuse_if_failed(verdict: Verdict, *, max_bad_fraction: float) -> None:
    """Let a data set go on, or say what is wrong with it.

    Raises:
        ValidationFailed: too many bad records, or a critical rule about the whole or with its own `mostly` does not hold.
    """
    rows, bad = len(verdict.bad), int(verdict.bad.sum())
    problems = [_explain(verdict, outcome) for outcome in verdict.outcomes if _stops(outcome)]
    if rows and bad / rows > max_bad_fraction:
        causes = [outcome for outcome in verdict.outcomes if quarantines(outcome) and len(outcome.bad)]
        worst = sorted(causes, key=lambda outcome: -len(outcome.bad))
        head = f"{bad:,} of {rows:,} records ({bad / rows:.2%}) are bad; validate.max_bad_fraction allows {max_bad_fraction:.2%}."
        kept = [
            f"{words} ({len(positions):,} records, such as {', '.join(verdict.examples(positions))})"
            for words, positions in verdict.held_back
        ]
        problems = [head, *kept, *(_explain(verdict, outcome) for outcome in worst if not _stops(outcome)), *problems]
    if problems:
        advice = "Mend the source, or the suite where it asks too much. The quarantine folder has the bad records with reasons."
        raise ValidationFailed("\n  ".join(problems) + f"\n{advice}")


def _stops(outcome: Outcome) -> bool:
    line = outcome.check.line
    return not outcome.success and line.severity == "critical" and (not outcome.check.by_row or "mostly" in line.arguments)


def _explain(verdict: Verdict, outcome: Outcome) -> str:
    line = outcome.check.line
    head = f"{line.words}: {line.expectation}"
    if line.columns:
        head += f" on {', '.join(line.columns)}"
    if not outcome.check.by_row:
        limits = ", ".join(f"{key} {value}" for key, value in line.arguments.items() if key not in ("column", "column_list"))
        return f"{head} found {outcome.observed} ({limits}) in {outcome.checked:,} records"
    share = len(outcome.bad) / max(outcome.checked, 1)
    return f"{head} fails for {len(outcome.bad):,} records ({share:.2%}), such as {', '.join(verdict.examples(outcome.bad))}"
