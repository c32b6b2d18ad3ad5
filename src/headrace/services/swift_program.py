"""OpenStack Swift as one process: S3 on 127.0.0.1:PORT, its three stores on PORT+1 to PORT+3.

Run by `headrace up --object-store` with the Python of an environment of its own, which has Swift and not Headrace:
swift_program.py FOLDER PORT. The configuration in FOLDER/etc is written by `object_store.py`.
"""

import hmac
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402  # after the patch
from swift.common import bufferedhttp, utils  # noqa: E402
from swift.common import wsgi as swift_wsgi  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.utils import logs  # noqa: E402

STORES = ("account", "container", "object")
INNER_KEY = "X-Headrace-Inner-Key"
PART_POWER = 8
MAX_CONNECTIONS = 256

type_of_app = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Swift logs to syslog, or to UDP port 514 where there is none; a server of one person logs to its own file."""

    def __init__(self, **syslog: object) -> None:
        del syslog
        super().__init__(sys.stderr)
        self.setLevel(logging.ERROR)

    def createLock(self) -> None:  # noqa: N802  # the name is logging's
        """No lock: green threads switch only where they wait, and writing a line does not."""
        self.lock = None


class QuietProtocol(SwiftHttpProtocol):  # type: ignore[misc]
    """Requests are not logged: an artifact upload is thousands of lines."""

    def log_request(self, *arguments: object) -> None:
        """Say nothing."""


class Guarded:
    """A store that answers the proxy only.

    Swift's stores have no authentication of their own: they are meant for a private network, and 127.0.0.1 is not one.
    """

    def __init__(self, app: type_of_app, key: str) -> None:
        self._app = app
        self._key = key

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass on what has the key."""
        shown = environ.get("HTTP_" + INNER_KEY.upper().replace("-", "_"), "")
        if hmac.compare_digest(shown.encode(), self._key.encode()):
            return self._app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]


def show_key(key: str) -> None:
    """Have every request between the servers of this process carry the key."""
    connect = bufferedhttp.http_connect_raw

    def connect_with_key(
        ipaddr: str, port: int, method: str, path: bytes, headers: Any = None, *rest: object, **more: object
    ) -> Any:
        return connect(ipaddr, port, method, path, {**(headers or {}), INNER_KEY: key}, *rest, **more)

    bufferedhttp.http_connect_raw = connect_with_key


def write_rings(etc: Path, port: int) -> None:
    """Say where each store listens; with one device nothing is placed anew when a port changes."""
    for offset, store in enumerate(STORES, start=1):
        ring = RingBuilder(PART_POWER, 1, 0)
        ring.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port + offset, "device": "disk", "weight": 1.0})
        ring.rebalance(seed=1)
        path = etc / f"{store}.ring.gz"
        ring.get_ring().save(str(path))
        path.chmod(0o600)  # Swift opens it to all


def main() -> None:
    """Serve until SIGTERM."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    etc = folder / "etc"
    key = (etc / "inner-key").read_text(encoding="utf-8").strip()
    logs.ThreadSafeSysLogHandler = StderrHandler
    utils.set_swift_dir(str(etc))
    write_rings(etc, port)
    show_key(key)
    nowhere = io.StringIO()  # eventlet's request log, which is off
    # Everything listens before anything serves: a taken port ends the start, not a request.
    sockets = [eventlet.listen(("127.0.0.1", port + offset), backlog=512, reuse_port=False) for offset in range(len(STORES) + 1)]
    threads = []
    for name, socket in zip(("proxy", *STORES), sockets, strict=True):
        app = swift_wsgi.loadapp(str(etc / f"{name}-server.conf"))
        app = app if name == "proxy" else Guarded(app, key)
        options = {"protocol": QuietProtocol, "max_size": MAX_CONNECTIONS, "socket_timeout": 60, "log_output": False}
        threads.append(eventlet.spawn(wsgi.server, socket, app, nowhere, capitalize_response_headers=False, **options))
    # Acknowledged objects are on the disk: an end without ceremony loses none.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    for thread in threads:
        thread.wait()


if __name__ == "__main__":
    main()
