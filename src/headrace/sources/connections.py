"""Connections of which the address is checked where it is dialled: between a check and a second look-up a name can change its answer."""

from collections.abc import Callable, Collection, Generator, Iterable
from socket import socket
from typing import Any

import httpcore
import httpx
from urllib3 import PoolManager
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from headrace.sources.hosts import public_addresses


class Bearer(httpx.Auth):
    """A token for the server of a URL; whatever server a redirect names gets none."""

    def __init__(self, url: str, token: str) -> None:
        self._origin, self._token = _origin(httpx.URL(url)), token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token where it belongs."""
        if _origin(request.url) == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def open_client(timeout: httpx.Timeout | float, *, allowed: Collection[str], auth: httpx.Auth | None = None) -> httpx.Client:
    """A client that follows no redirect by itself and connects to public addresses and to the hosts in `allowed` only.

    TLS verifies the name in the URL, whichever address was dialled. The machine's proxies and certificates are kept: behind a proxy
    it is the proxy that looks names up.
    """
    # An empty Auth: .netrc may hold passwords for hosts that a redirect names.
    client = httpx.Client(timeout=timeout, follow_redirects=False, auth=auth or httpx.Auth())
    # httpx has no argument for it, and a transport of one's own would lose the proxies.
    client._transport._pool._network_backend = _Dialler(allowed)  # type: ignore[attr-defined]  # noqa: SLF001
    return client


def guard_pools(allowed: Collection[str]) -> Callable[[PoolManager], None]:
    """The same for a client that uses urllib3: what it is given dials public addresses and hosts in `allowed` only."""

    def guard(manager: PoolManager) -> None:
        pools: dict[str, Any] = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _guarded(pool.ConnectionCls, frozenset(allowed))})
            for scheme, pool in pools.items()
        }

    return guard


def _guarded(connection: Any, allowed: frozenset[str]) -> Any:
    def dial(self: Any) -> socket:
        if self.host in allowed:
            return connection._new_conn(self)  # type: ignore[no-any-return]  # noqa: SLF001
        name = self.host
        failure: Exception = NewConnectionError(self, f"{name} has no address")
        for address in public_addresses(name, self.port):
            self.host = address  # what is dialled; afterwards the name again, which TLS verifies
            try:
                return connection._new_conn(self)  # type: ignore[no-any-return]  # noqa: SLF001
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self.host = name
        raise failure

    return type(connection.__name__, (connection,), {"_new_conn": dial})


class _Dialler(httpcore.SyncBackend):
    """Looks a name up once, checks all its addresses, and connects to the first of those that answers."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        if host in self._allowed:
            return super().connect_tcp(host, port, timeout, local_address, socket_options)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in public_addresses(host, port):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
