"""Which servers are asked for objects, and the names of these on this machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import SourceError
from headrace.sources.places import Places
from headrace.sources.s3 import open_bucket, stored_name
from headrace.sources.spec import S3


@pytest.mark.fault
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fd00:ec2::254%25eth0]",
        "[fe80::1%25eth0]",
        "192.0.0.192",
        "100.100.100.200",
        "2852039166",
        "0",
    ],
)
def test_a_private_server_is_refused_before_it_is_asked(tmp_path, host):
    """What hands out a cloud machine's keys is such a one, however it is spelled."""
    source = S3(kind="s3", name="a", bucket="data", endpoint=f"http://{host}:80")
    with pytest.raises(SourceError, match="is refused"):
        open_bucket(source, Places(project=tmp_path, downloads=tmp_path))


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=400))
def test_any_key_is_kept_inside_its_folder(tmp_path_factory, key):
    """The store puts an object at <digest>/<name>: no key may lead elsewhere, or be no name at all."""
    folder = tmp_path_factory.getbasetemp() / "store"
    folder.mkdir(exist_ok=True)
    path = folder / stored_name(key)
    path.write_bytes(b"x")

    assert path.resolve().parent == folder.resolve()
    path.unlink()
