"""Dividing a data set."""

import numpy as np
import pytest

from headrace.dataset import shards
from headrace.dataset.shards import read_table
from headrace.errors import DataError
from headrace.listening import SilentProgress
from headrace.validation.quarantine import divide, pass_whole


def test_each_record_goes_to_one_side_with_its_reasons(make_data, tmp_path):
    """Nothing is lost, nothing doubled, order kept."""
    data, bad = make_data(6), np.array([0, 1, 0, 0, 1, 0], dtype=bool)
    reasons = [("first", np.array([1])), ("second", np.array([1, 4]))]
    divide(data, bad, reasons, passed=tmp_path / "good", kept_back=tmp_path / "bad", progress=SilentProgress())
    kept = read_table(tmp_path / "bad")

    assert read_table(tmp_path / "good", ["origin"])["origin"].to_pylist() == ["f:0", "f:2", "f:3", "f:5"]
    assert kept.select(["origin", "reasons"]).to_pylist() == [
        {"origin": "f:1", "reasons": ["first", "second"]},
        {"origin": "f:4", "reasons": ["second"]},
    ]


def test_a_data_set_without_bad_records_is_written_byte_for_byte(make_data, tmp_path):
    """So what follows is not run again for nothing."""
    data = make_data(6)
    divide(data, np.zeros(6, dtype=bool), [], passed=tmp_path / "good", kept_back=tmp_path / "bad", progress=SilentProgress())

    assert (tmp_path / "good/part-00000.parquet").read_bytes() == (data / "part-00000.parquet").read_bytes()


@pytest.fixture
def divided(make_data, tmp_path):
    """Divide a data set in which one record at most is bad."""

    def do(rows, bad=()):
        data = make_data(rows)
        mask = np.zeros(rows, dtype=bool)
        mask[list(bad)] = True
        divide(
            data, mask, [("bad", np.array(bad))], passed=tmp_path / "good", kept_back=tmp_path / "bad", progress=SilentProgress()
        )
        return data, tmp_path / "good"

    return do


def test_handing_files_on_gives_what_writing_rows_would(divided, monkeypatch, tmp_path):
    """Several shards of several row groups: the short way must not be visible in the bytes."""
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 5)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    data, good = divided(57)
    with shards.writer_like(tmp_path / "again", data) as writer:
        for rows in shards.iter_tables(data):
            writer.write(rows)
    handed, written = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (good, tmp_path / "again"))

    assert len(handed) > 3
    assert handed == written


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_only_read_only_files_are_shared(make_data, tmp_path, mode):
    """DVC's links into its cache are read-only; a file somebody can write to must not change in data/raw and data/validated at once."""
    data = make_data(6)
    for path in data.iterdir():
        path.chmod(mode)
    pass_whole(data, tmp_path / "good", progress=SilentProgress())

    for path in data.iterdir():
        assert path.samefile(tmp_path / "good" / path.name) == (mode == 0o444)


def test_links_into_the_cache_are_followed(make_data, tmp_path):
    """Where the cache is linked by symlinks, the file itself is handed on: a relative link would point to nothing."""
    data = make_data(6)
    (tmp_path / "cache").write_bytes((data / "part-00000.parquet").read_bytes())
    (tmp_path / "cache").chmod(0o444)
    (data / "part-00000.parquet").unlink()
    (data / "part-00000.parquet").symlink_to(tmp_path / "cache")
    pass_whole(data, tmp_path / "good", progress=SilentProgress())

    assert not (tmp_path / "good/part-00000.parquet").is_symlink()
    assert read_table(tmp_path / "good").num_rows == 6


@pytest.mark.badinput
def test_a_damaged_shard_is_not_handed_on(make_data, tmp_path):
    """Its rows are not read, so its digest has to be."""
    data = make_data(6)
    shard = data / "part-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)

    with pytest.raises(DataError, match="damaged"):
        pass_whole(data, tmp_path / "good", progress=SilentProgress())
