"""Which hosts may be asked: a URL in params.yaml, or a redirect, must not reach into the machine's own network."""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from headrace.errors import SourceError
from headrace.sources.spec import strip_user

MAX_REDIRECTS = 5

METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "192.0.0.192")))
"""Private addresses where clouds hand out a machine's keys (Amazon, Google, Oracle), beside the link-local 169.254.169.254."""


def check_host(url: str, *, allowed: Collection[str]) -> None:
    """Refuse a URL whose scheme is not http(s), or whose host is private, local or link-local and not in `allowed`.

    Raises:
        SourceError: the URL is refused. The address 169.254.169.254, which hands out a cloud machine's keys, is one of these.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(f"{url[:200]!r} is refused: {error}.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise SourceError(f"{strip_user(url)} is refused: only http:// and https:// are fetched.")
    if host not in allowed:
        public_addresses(host, port or (443 if parts.scheme == "https" else 80))


def public_addresses(host: str, port: int) -> list[str]:
    """Addresses of a host, in the order in which to try them; none when the name is unknown.

    Raises:
        SourceError: one of them is of a private network or of this machine.
    """
    addresses = _addresses(host, port)
    for address in addresses:
        if not address.is_global or address.is_multicast or _gives_keys(address):
            raise SourceError(
                f"Host {host} is refused: its address {address} is of a private network or of this machine. "
                f"If it is meant, list '{host}' in allow_hosts of the source."
            )
    return [str(address) for address in addresses]


def named_hosts(urls: Collection[str]) -> set[str]:
    """Hosts of URLs that spell out a private or local address: whoever wrote it meant it. Where clouds hand out keys stays refused."""
    hosts = {urlsplit(url).hostname or "" for url in urls}
    return {host for host in hosts if (address := _literal(host)) and address.is_private and not _gives_keys(address)}


def _gives_keys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_link_local or address in METADATA


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])  # without the zone of IPv6
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _addresses(host: str, port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if literal := _literal(host):
        return [literal]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []  # no name service here: behind a proxy that is normal, and the request itself fails if it is not
    return [address for entry in found if (address := _literal(str(entry[4][0]).partition("%")[0]))]
