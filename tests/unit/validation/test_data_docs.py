"""Data Docs as one page."""

import re

import pytest

from headrace.errors import DataError
from headrace.storage.local import write_json
from headrace.validation.data_docs import render
from headrace.validation.measured import read_measured
from headrace.validation.suite import load_suite
from headrace.validation.verdict import judge

FAULT = 'expectation: expect_column_values_to_be_in_set, column: fault, value_set: [""], reason: cannot be <decoded>'


@pytest.fixture
def page(make_data, make_suite, tmp_path):
    """Rendered for a data set in which validation failed."""
    suite = load_suite(make_suite(FAULT), classes=["a", "b"])
    data = make_data(4, fault=["<script>alert(1)</script>", "", "", "bad"])
    verdict = judge(suite, read_measured(data, suite.columns, where="suite"), classes=["a", "b"])
    write_json(tmp_path / "results.json", verdict.results("suite"))
    render(tmp_path / "results.json", tmp_path / "page.html")
    return (tmp_path / "page.html").read_text()


def test_page_loads_nothing_from_elsewhere(page):
    """It must open on a machine without a network, and tell nobody that it was opened."""
    targets = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'\s>]+)", page)

    assert [t for t in targets if not t.startswith(("#", "data:"))] == []
    assert "url(" not in page


def test_page_shows_what_fails_and_for_which_records(page):
    """The reason in words and ids to look up."""
    assert "cannot be &lt;decoded&gt;" in page
    assert f"{0:032x}" in page


def test_values_from_the_data_are_text_never_markup(page):
    """The engine puts unexpected values into its tables unescaped."""
    assert "<script" not in page


@pytest.mark.badinput
@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"results": [{}]}'])
def test_a_file_that_holds_no_results_is_refused(tmp_path, content):
    """One message, not a trace out of the renderer."""
    if content is not None:
        (tmp_path / "results.json").write_text(content)

    with pytest.raises(DataError):
        render(tmp_path / "results.json", tmp_path / "page.html")
