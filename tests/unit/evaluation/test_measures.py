"""Scores as people say them."""

import pytest

from headrace.evaluation.measures import figure, write_difference, write_value


@pytest.mark.parametrize(
    ("value", "written"),
    [(46.584, "46.58"), (9999.4, "9,999"), (9999.7, "10,000"), (23451.5, "23,452"), (0.0012345, "0.001234"), (-0.0, "0.000")],
)
def test_a_number_of_any_unit_has_four_digits(value, written):
    """Prices without cents, and no power of ten between two sizes."""
    assert figure(value) == written


def test_an_error_is_less_where_the_score_is_more():
    """The smaller end stands first; a tie has no minus."""
    assert write_difference("negative_mae", 2.0, 1.0, 3.5) == "difference in MAE -2.000, interval -3.500 to -1.000"
    assert write_difference("negative_mae", 0.0, -1.0, 0.0) == "difference in MAE +0.000, interval +0.000 to +1.000"
    assert write_difference("accuracy", 0.0123, -0.001, 0.025) == "difference +0.0123, interval -0.0010 to +0.0250"


def test_a_share_has_four_decimals():
    """As everywhere."""
    assert write_value("accuracy", 0.98765) == "0.9877"
