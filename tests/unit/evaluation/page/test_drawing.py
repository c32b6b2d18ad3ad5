import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.page.drawing import Bin, Interval, Series, interval_chart, lanes, line_chart, reliability_chart, ticks


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low, span):
    """An axis with no tick, or with hundreds, tells nothing."""
    _, values = ticks(low, low + span)

    assert 1 <= len(values) <= 12
    slack = span * 1e-6 + 2 * math.ulp(abs(low) + span)  # a float near a million has ten digits behind the point
    assert all(low - slack <= value <= low + span + slack for value in values)


def test_ticks_have_the_digits_they_need():
    """0.25 as 0.2 would put two labels on one value."""
    digits, values = ticks(0, 1)

    assert [f"{value:.{digits}f}" for value in values] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert ticks(0, 1.02)[0] == 2


@pytest.mark.parametrize(
    "drawing",
    [
        line_chart([Series("<a & b>", [(0, 0), (1, float("nan")), (2, 3)])], x_label='"x"', y_label="<y>", alt='a "title" <b>'),
        line_chart([Series("flat", [(1, 5), (1, 5)])], x_label="x", y_label="y", alt="", steps=True, diagonal=True),
        interval_chart(
            [Interval("<script>", 50, 40, 60, mark=55), Interval("far", 1, 0, 2, "s2")], x_label="x", alt="t", far_below=30
        ),
        interval_chart([Interval("perfect", 100, 100, 100)], x_label="x", alt="t"),
        reliability_chart([Bin(0.5, 0.4, 0.1, 0.8, share=1.0)], alt="t"),
        lanes([[], [0], [0], [1, 2]], ["ran", "", "failed", "<x>"], row_height=50)[0],
    ],
)
def test_every_chart_is_well_formed(drawing):
    """Labels come from data: one unescaped character breaks the page, or runs in it."""
    tree = ET.fromstring(str(drawing))  # noqa: S314 - our own text

    assert tree.tag == "svg"
    assert "<script>" not in drawing
    assert "nan" not in drawing


def test_nothing_to_draw_is_nothing():
    """The page then says so in words."""
    assert not line_chart([], x_label="x", y_label="y", alt="")
    assert not interval_chart([], x_label="x", alt="")
    assert not reliability_chart([], alt="")


def test_an_edge_never_runs_over_another_stage():
    """Two leaves of one parent in one lane would look like a chain."""
    drawing, _ = lanes([[], [0], [1], [1]], [""] * 4, row_height=50)
    across = [node.attrib["cx"] for node in ET.fromstring(str(drawing)).iter("circle")]  # noqa: S314 - our own text

    assert across[2] != across[3]


def test_branches_of_the_dag_stand_beside_each_other():
    """A stage beside the main line must not look like a step of it."""
    drawing, _ = lanes([[], [0], [1], [0], [2, 3]], [""] * 5, row_height=50)
    across = [node.attrib["cx"] for node in ET.fromstring(str(drawing)).iter("circle")]  # noqa: S314 - our own text

    assert across[0] == across[1] == across[2] == across[4]
    assert across[3] != across[0]
