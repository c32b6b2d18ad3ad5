"""Splits at rest."""

import numpy as np
import pytest
from tests.measured import write_records

from headrace.dataset.shards import read_table
from headrace.dataset.split_folders import check_no_leak, write_splits
from headrace.errors import HeadraceError
from headrace.listening import SilentProgress


def write(tmp_path, splits, **columns):
    data = write_records(tmp_path / "data", len(splits), **columns)
    write_splits(data, tmp_path / "splits", np.array(splits), progress=SilentProgress())
    return tmp_path / "splits"


def keys_of(*columns):
    return {column: lambda table, column=column: [str(key) for key in table[column].to_pylist()] for column in columns}


def test_each_record_goes_to_its_split_and_says_so(tmp_path):
    """The order of the data set is kept, dropped records are left out."""
    folder = write(tmp_path, [0, 2, -1, 1, 0])
    rows = {name: read_table(folder / name, ["origin", "split"]).to_pylist() for name in ("train", "validation", "test")}

    assert rows == {
        "train": [{"origin": "f:0", "split": "train"}, {"origin": "f:4", "split": "train"}],
        "validation": [{"origin": "f:3", "split": "validation"}],
        "test": [{"origin": "f:1", "split": "test"}],
    }


def test_a_leak_in_what_was_written_is_an_error(tmp_path):
    """The last wall: it reads the files, not the plan."""
    folder = write(tmp_path, [0, 2, 1], id=["x", "x", "y"])

    with pytest.raises(HeadraceError, match="id 'x' stands in train and in test"):
        check_no_leak(folder, keys_of("id"))


def test_a_group_may_not_straddle_either(tmp_path):
    """Ids can differ where the patient is the same."""
    folder = write(tmp_path, [0, 2, 1], group=[1, 1, 2])
    check_no_leak(folder, keys_of("id"))

    with pytest.raises(HeadraceError, match="group '1'"):
        check_no_leak(folder, keys_of("id", "group"))
