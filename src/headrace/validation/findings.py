"""What the report says of each line of a suite. Read by the stage before the engine is loaded, so it imports nothing of it."""

from typing import TYPE_CHECKING

from headrace.params import JsonValue, Report

if TYPE_CHECKING:
    from headrace.validation.verdict import Verdict


class ExpectationReport(Report):
    """One line of the suite."""

    expectation: str
    columns: list[str]
    reason: str
    severity: str
    success: bool
    checked: int
    failed: int
    observed: JsonValue
    """The value a rule about all records was judged by; null where single records are judged."""
    example_ids: list[str]

    @property
    def words(self) -> str:
        """The reason, and how many records it is about where it judges single ones."""
        return f"{self.reason}: {self.failed:,} of {self.checked:,} records" if self.failed else self.reason


def describe(verdict: "Verdict") -> list[ExpectationReport]:
    """Every line that was judged, in the order of the verdict."""
    return [
        ExpectationReport(
            expectation=outcome.check.line.expectation,
            columns=list(outcome.check.line.columns),
            reason=outcome.check.line.words,
            severity=outcome.check.line.severity,
            success=outcome.success,
            checked=outcome.checked,
            failed=len(outcome.bad),
            observed=outcome.observed,
            example_ids=verdict.examples(outcome.bad),
        )
        for outcome in verdict.outcomes
    ]
