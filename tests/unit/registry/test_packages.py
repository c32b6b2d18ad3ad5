"""The files beside a registered package."""

import gzip
from pathlib import Path

import pytest

from headrace.registry.packages import read_ids, write_ids


@pytest.mark.fault
def test_trained_ids_are_read_also_where_a_server_has_unpacked_them(tmp_path: Path) -> None:
    """MLflow's server gives *.gz from a bucket with `Content-Encoding: gzip`: the champion could not be compared with."""
    write_ids(tmp_path / "stored", ["ab12", "cd34"])
    (tmp_path / "fetched").write_bytes(gzip.decompress((tmp_path / "stored").read_bytes()))

    assert read_ids(tmp_path / "stored") == read_ids(tmp_path / "fetched") == {"ab12", "cd34"}
