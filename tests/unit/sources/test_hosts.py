"""Which hosts may be asked."""

import pytest

from headrace.errors import SourceError
from headrace.sources.hosts import check_host, named_hosts


@pytest.mark.badinput
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:8080/x",
        "http://localhost/x",
        "http://10.1.2.3/x",
        "http://[::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[fe80::1]/x",
        "http://0.0.0.0/x",
        "http://100.64.0.1/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "http://[::1",
        "http://example.org:99999/x",
    ],
)
def test_private_and_local_addresses_are_refused(url):
    """A params.yaml from elsewhere must not make this machine ask its own network."""
    with pytest.raises(SourceError, match="refused"):
        check_host(url, allowed=())


def test_public_and_listed_hosts_are_allowed():
    """An allow-list opens exactly what it names."""
    check_host("https://93.184.215.14/x", allowed=())
    check_host("http://10.1.2.3/x", allowed={"10.1.2.3"})


def test_private_address_written_in_a_url_is_meant_but_metadata_never():
    """Whoever spells out 127.0.0.1 means it; nobody collects data from a metadata service."""
    assert named_hosts(["http://127.0.0.1:99/x", "http://169.254.169.254/x", "http://localhost/x"]) == {"127.0.0.1"}
