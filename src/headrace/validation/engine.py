"""Great Expectations, run on a frame in memory: nothing written to disk, nothing sent.

An error inside the engine and a failed expectation look alike in its results (success is False in both): here the first is an
EngineError, the second an outcome.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig
from great_expectations.expectations.expectation import (
    ColumnAggregateExpectation,
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.registry import get_expectation_impl, list_registered_expectation_implementations

from headrace.errors import EngineError, ParamsError
from headrace.params import did_you_mean
from headrace.validation.suite import Line

BY_ROW = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
TABLE_LEVEL = ("expect_table_row_count_to_be_between", "expect_table_row_count_to_equal")

# Without index columns the engine answers with positions, which tell copies of one record apart; names of ids would not.
RESULT_FORMAT = {"result_format": "COMPLETE", "include_unexpected_rows": False, "return_unexpected_index_query": False}

# Grow with the bad records, or differ from run to run.
STRIPPED = (
    "unexpected_list",
    "unexpected_index_list",
    "unexpected_index_query",
    "partial_unexpected_index_list",
    "unexpected_rows",
)


@dataclass(frozen=True)
class Check:
    """A line of the suite, understood by the engine."""

    line: Line
    expectation: Any
    by_row: bool
    """It judges one record at a time; else all of them as a whole."""


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    check: Check
    success: bool
    checked: int
    """Records it looked at."""
    bad: np.ndarray
    """Index labels of the records that failed, ascending; empty when the check judges the whole."""
    observed: Any
    """The value a check of the whole was judged by."""
    result: dict[str, Any]
    """The engine's own result, without index lists, times and batch ids."""


def build_checks(lines: Sequence[Line], *, where: str) -> list[Check]:
    """Find each expectation and check its arguments.

    Raises:
        ParamsError: unknown name or argument, a value the engine refuses, or an expectation that does not judge measured columns.
    """
    return [_build(line, where) for line in lines]


def _build(line: Line, where: str) -> Check:
    known = {name: get_expectation_impl(name) for name in list_registered_expectation_implementations()}
    usable = {n: kind for n, kind in known.items() if issubclass(kind, (*BY_ROW, ColumnAggregateExpectation)) or n in TABLE_LEVEL}
    if line.expectation not in usable:
        about = "judges no measured column" if line.expectation in known else "does not exist"
        raise ParamsError(f"{where}: expectation '{line.expectation}' {about}.{did_you_mean(line.expectation, usable)}")
    kind: type[Expectation] = usable[line.expectation]
    accepted = set(kind.__fields__) - set(Expectation.__fields__) - {"batch_id", "windows"}
    for argument in line.arguments:
        if argument not in accepted:
            raise ParamsError(f"{where}: {line.expectation} has no argument '{argument}'.{did_you_mean(argument, accepted)}")
    try:
        built = kind(**line.arguments, severity=FailureSeverity(line.severity))
    except (ValueError, TypeError) as error:
        detail = "; ".join(part.strip() for part in str(error).splitlines()[1:]) or str(error)
        raise ParamsError(f"{where}: {line.expectation} on {', '.join(line.columns) or 'the data set'}: {detail}") from None
    return Check(line=line, expectation=built, by_row=issubclass(kind, BY_ROW))


def run_checks(checks: Sequence[Check], frame: pd.DataFrame) -> list[Outcome]:
    """Judge a frame; outcomes stand in the order of the checks.

    Raises:
        EngineError: the engine could not evaluate a check; nothing is known about the data.
    """
    if not checks:
        return []
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    for number, check in enumerate(checks):
        check.expectation.meta = {"number": number}
    used = list(dict.fromkeys(column for check in checks for column in check.line.columns))
    try:
        # One suite, not one call a check, and no column more than needed: the engine hashes the whole frame at each call.
        suite = gx.ExpectationSuite(name="suite", expectations=[check.expectation for check in checks])
        found = _ephemeral_batch(frame[used]).validate(suite, result_format=RESULT_FORMAT)
    except Exception as error:
        raise EngineError(
            f"Great Expectations failed: {type(error).__name__}: {error}. Nothing is known about the data."
        ) from error
    results = {result.expectation_config.meta["number"]: result for result in found.results}
    return [_read(check, results[number], frame) for number, check in enumerate(checks)]


def _ephemeral_batch(frame: pd.DataFrame) -> Any:
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("measured")
    return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})


def _read(check: Check, found: Any, frame: pd.DataFrame) -> Outcome:
    raised = _exception(found.exception_info)
    if raised:
        line = check.line
        raise EngineError(
            f"Great Expectations could not evaluate {line.expectation} on {', '.join(line.columns) or 'the data set'}: {raised} "
            "Nothing is known about the data; does the expectation fit the type of the column?"
        )
    result = dict(found.result)
    bad = np.sort(np.asarray(result.get("unexpected_index_list") or [], dtype=np.int64))
    return Outcome(
        check=check,
        success=bool(found.success),
        checked=int(result.get("element_count", len(frame))),
        bad=bad,
        observed=_plain(result.get("observed_value")),
        result=_strip(found.to_json_dict()),
    )


def _exception(info: Any) -> str:
    # One flat record, or one per metric: which of the two depends on where the engine stumbled.
    records = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    raised = {str(r.get("exception_message")) for r in records if isinstance(r, dict) and r.get("raised_exception")}
    return "; ".join(sorted(raised))


def _strip(found: dict[str, Any]) -> dict[str, Any]:
    config = dict(found["expectation_config"])
    config["kwargs"] = {key: value for key, value in sorted(config["kwargs"].items()) if key != "batch_id"}
    config = {key: config[key] for key in ("type", "kwargs", "severity")}
    config["meta"] = {}
    result = {key: value for key, value in found["result"].items() if key not in STRIPPED}
    plain = _plain({**found, "expectation_config": config, "result": result})
    return {key: plain[key] for key in ("success", "expectation_config", "result", "meta", "exception_info")}


def _plain(value: Any) -> Any:
    """A JSON value; NaN, infinity, times and the like become text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
