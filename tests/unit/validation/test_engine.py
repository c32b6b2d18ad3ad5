"""Great Expectations behind our own types."""

import numpy as np
import pandas as pd
import pytest

from headrace.errors import EngineError, ParamsError
from headrace.validation.engine import build_checks, run_checks
from headrace.validation.suite import Line

FRAME = pd.DataFrame({"height": [1, 5, 9, 5], "word": ["a", "b", "c", "d"]}, index=[10, 20, 30, 40])


def line(expectation, **arguments):
    return Line(expectation=expectation, arguments=arguments)


def between(column, **limits):
    return line("expect_column_values_to_be_between", column=column, **limits)


def run(*lines, frame=FRAME):
    return run_checks(build_checks(lines, where="suite"), frame)


def test_failing_rows_are_named_by_their_index_all_of_them():
    """A sample of failures would let the others through."""
    frame = pd.DataFrame({"height": np.arange(5000)})
    (outcome,) = run(between("height", min_value=4000), frame=frame)

    assert np.array_equal(outcome.bad, np.arange(4000))


def test_outcomes_stand_in_the_order_of_the_suite():
    """The engine groups its results; reports and diffs need one order."""
    outcomes = run(between("height", min_value=2), line("expect_column_max_to_be_between", column="height", max_value=3),
                   between("height", max_value=6))  # fmt: skip

    assert [o.check.line.arguments.get("min_value", o.check.line.arguments.get("max_value")) for o in outcomes] == [2, 3, 6]


def test_two_equal_lines_have_two_outcomes():
    """Lines that differ in reason only must not be merged."""
    assert len(run(between("height", min_value=2), between("height", min_value=2))) == 2


def test_results_are_the_same_each_time_and_hold_no_lists_of_rows():
    """Results are hashed: a load time or a batch id in them would make every run a new one."""
    first, second = (run(between("height", min_value=6))[0].result for _ in range(2))

    assert first == second
    assert not [key for key in first["result"] if "index" in key or key == "unexpected_list"]


def test_an_error_of_the_engine_is_no_verdict_on_the_data():
    """The engine reports both as success=False."""
    with pytest.raises(EngineError, match=r"could not evaluate expect_column_values_to_be_between on word"):
        run(between("word", min_value=3))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line("expect_column_value_to_be_between", column="height"), "Did you mean 'expect_column_values_to_be_between'"),
        (line("expect_table_columns_to_match_set", column_set=["a"]), "judges no measured column"),
        (line("unexpected_rows_expectation", unexpected_rows_query="x"), "judges no measured column"),
        (between("height", min_vlaue=1), "no argument 'min_vlaue'. Did you mean 'min_value'"),
        (between("height"), "min_value and max_value cannot both be None"),
        (line("expect_column_values_to_be_in_set", value_set=[1]), "column"),
    ],
)
def test_a_line_the_engine_does_not_know_is_refused(bad, message):
    """An expectation that is not run must not count as passed."""
    with pytest.raises(ParamsError) as refused:
        build_checks([bad], where="suite")

    assert message in str(refused.value)


def test_an_empty_frame_passes_rows_and_counts_none():
    """Nothing fails on nothing; the row count is a rule of its own."""
    (outcome,) = run(between("height", min_value=6), frame=FRAME.iloc[:0])

    assert (outcome.success, outcome.checked) == (True, 0)


def test_nothing_is_sent_and_nothing_is_written(tmp_path, monkeypatch):
    """No telemetry and no gx/ project, whatever the environment says."""
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    sent = []
    monkeypatch.setattr("socket.socket.connect", lambda _, address: sent.append(address))
    run(between("height", min_value=2))

    assert (sent, list(tmp_path.iterdir())) == ([], [])
