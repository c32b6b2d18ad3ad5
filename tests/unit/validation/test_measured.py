"""The frame the engine judges."""

import numpy as np
import pytest

from headrace.errors import ParamsError
from headrace.validation.measured import add_class_columns, read_measured


def test_whole_numbers_with_gaps_keep_their_digits(make_data):
    """As floats, integers above 2^53 would change in silence."""
    frame = read_measured(make_data(3, serial=[2**60 + 1, None, 5]), ["serial"], where="suite")

    assert frame["serial"].iloc[0] == 2**60 + 1


def test_infinite_numbers_become_missing(make_data):
    """One rule then catches NaN, infinity and null."""
    frame = read_measured(make_data(4, std=[1.0, np.inf, np.nan, None]), ["std"], where="suite")

    assert frame["std"].isna().tolist() == [False, True, True, True]


@pytest.mark.badinput
@pytest.mark.parametrize(("column", "message"), [("hieght", "Did you mean 'height'"), ("image", "holds payload, not a measure")])
def test_a_column_that_cannot_be_judged_is_refused(make_data, column, message):
    """An absent column must fail, not pass."""
    with pytest.raises(ParamsError, match=message):
        read_measured(make_data(), [column], where="suite")


def test_class_columns_count_the_records_given(make_data):
    """Balance is that of the frame, not of the data set it came from."""
    frame = add_class_columns(read_measured(make_data(3), [], where="suite"))

    assert (frame["class_rows"].tolist(), frame["class_ratio"].tolist()) == ([2, 1, 2], [1.0, 0.5, 1.0])
