"""Data sets and suites of this room's tests."""

import pytest
import tests.quiet_engine  # noqa: F401  # first: its import warns
from tests.measured import write_records, write_suite


@pytest.fixture
def make_data(tmp_path):
    """Write records: defaults are good; a keyword gives one column's values."""
    return lambda rows=24, **columns: write_records(tmp_path / "raw", rows, **columns)


@pytest.fixture
def make_suite(tmp_path):
    """Write lines of expectations, or a whole file, as a suite."""

    def make(*lines, text=None):
        path = tmp_path / "suite.yaml"
        if text is None:
            return write_suite(path, *lines)
        path.write_text(text)
        return path

    return make
