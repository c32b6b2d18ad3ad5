import pytest

from headrace.evaluation.significance import Comparison
from headrace.evaluation.titles import area, calibration_title, comparison_title, confusion_title, per_class_title, roc_title


def against(low: float, high: float) -> Comparison:
    return Comparison(
        model="svm", score=0.9, low=0.8, high=0.95, difference=(low + high) / 2, difference_low=low, difference_high=high
    )


@pytest.mark.parametrize(("value", "text"), [(1.0, "1.0000"), (0.99998, "0.9999"), (0.5, "0.5000")])
def test_an_area_is_never_rounded_up_to_perfect(value, text):
    """1.0000 beside a mistake is a contradiction."""
    assert area(value) == text


@pytest.mark.parametrize(
    ("interval", "words"),
    [((0.01, 0.03), "beats svm"), ((-0.03, -0.01), "is worse than svm"), ((-0.01, 0.02), "differ within chance")],
)
def test_comparison_claims_no_more_than_its_interval(interval, words):
    """'Beats' needs an interval above zero."""
    assert words in comparison_title([against(*interval)], "accuracy", 300)


def test_ten_thousand_records_tell_hundredths_of_a_point_apart():
    """'+0.0 to +0.1 points' hides what a large test set shows."""
    assert "+0.04 points, interval +0.02 to +0.06" in comparison_title([against(0.0002, 0.0006)], "accuracy", 10_000)


def test_confusion_title_counts_cases():
    """The title says what is seen."""
    pairs = [{"label": "3", "predicted": "5", "count": 4, "of": 36}]

    assert confusion_title(pairs, 9, 360) == "'3' is taken for '5' in 4 of 36 cases, 9 mistakes in all"
    assert confusion_title([], 0, 360) == "No mistake in 360 test records"


def test_calibration_title_says_which_way():
    """Too sure and not sure enough ask for different cures."""
    assert "4.0 points more confident" in calibration_title(0.05, 0.94, 0.90)
    assert "2.0 points less confident" in calibration_title(0.05, 0.88, 0.90)


def test_titles_without_numbers_are_sentences_too():
    """Nothing defined is nothing to rank."""
    assert comparison_title([], "accuracy", 10) == "There is no baseline to compare with"
    assert "undefined" in roc_title([{"class": "a", "roc_auc": None}], None)
    assert per_class_title([{"class": "a", "recall": None}]) == "No class has test records"


def test_a_figure_of_many_classes_says_which_it_shows():
    """A picture of 1,000 rows is no picture."""
    rows = [{"class": str(n), "recall": 0.5, "support": 9} for n in range(40)]

    assert per_class_title(rows).endswith("; the 25 lowest of 40 classes")
