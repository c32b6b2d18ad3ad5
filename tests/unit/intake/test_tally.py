"""What the report says of rows."""

import pyarrow as pa

from headrace.intake.tally import Tally


def test_tally_counts_what_the_report_says():
    """Classes that do not occur are shown with 0; repeats of an id are counted."""
    tally = Tally(["a", "b"], {})
    rows = {"id": ["0" * 32, "1" * 32, "0" * 32], "label": [0, -1, 0], "split": ["", "test", ""], "fault": ["", "size: 3", ""]}
    tally.add(pa.table({**rows, "origin": ["x", "y", "z"]}))

    assert tally.by_class == {"": 1, "a": 2, "b": 0}
    assert tally.by_split == {"": 2, "test": 1}
    assert tally.duplicates == 1
    assert {kind: fault.model_dump() for kind, fault in tally.faults.items()} == {
        "size": {"count": 1, "examples": ["y: size: 3"]}
    }
