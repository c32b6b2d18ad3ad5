"""A web server on 127.0.0.1 that fails in the ways real ones do, chosen by the first part of a URL's path.

/ok/NAME        the file, with ETag and ranges
/busy/NAME      503 to a share of the requests, by seed
/down/NAME      503 to every request
/short/NAME     the connection ends half-way through, `failures` times; ranges continue it
/cut/NAME       as short, but without ETag and ranges
/flip/NAME      one byte flipped, `failures` times
/html/NAME      a log-in page with status 200
/hang/NAME      headers and half of the body, then silence
/crawl/NAME     some ten bytes a second
/long/NAME      a Content-Length that is too large by one
/moved/NAME     302 to `redirect_to`
/circle/NAME    302 to itself
/replaced/NAME  half of an old file first; then the new one under another ETag
"""

import random
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer:
    """What the server has, how it fails, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = 1
        self.seed = 7
        self.redirect_to = ""
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.url = ""
        self.stopping = threading.Event()

    def address(self, mode: str, name: str) -> str:
        """URL of a file under a failure mode."""
        return f"{self.url}/{mode}/{name}"


class Handler(BaseHTTPRequestHandler):
    """One method per failure mode; what has none answers as it should."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""

    def do_HEAD(self) -> None:
        mode, content = self._look_up()
        self._answer(200, content, etag="" if mode == "cut" else '"new"', send=0)

    def do_GET(self) -> None:
        mode, content = self._look_up()
        if "Range" in self.headers:
            self.state.ranges.append(self.headers["Range"])
        getattr(self, f"mode_{mode}", self.mode_ok)(content)

    @property
    def state(self) -> FaultyServer:
        return self.server.state

    def mode_ok(self, content: bytes) -> None:
        wanted = self.headers.get("Range", "")
        if not wanted or self.headers.get("If-Range") not in (None, '"new"'):
            self._answer(200, content)
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(content):
            self._answer(416, b"")
        else:
            self._answer(206, content[start:], **{"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})

    def mode_down(self, content: bytes) -> None:
        self._answer(503, b"busy")

    def mode_busy(self, content: bytes) -> None:
        if self.server.chance.random() < 0.6:
            self._answer(503, b"busy", **{"Retry-After": "0"})
        else:
            self.mode_ok(content)

    def mode_short(self, content: bytes) -> None:
        if self._fails("short"):
            self._answer(200, content, send=len(content) // 2)
        else:
            self.mode_ok(content)

    def mode_cut(self, content: bytes) -> None:
        self._answer(200, content, etag="", send=len(content) // 2 if self._fails("cut") else None)

    def mode_flip(self, content: bytes) -> None:
        self._answer(200, bytes([content[0] ^ 1]) + content[1:] if self._fails("flip") else content)

    def mode_html(self, content: bytes) -> None:
        self._answer(200, b"<!DOCTYPE html><html><body>Please log in</body></html>")

    def mode_hang(self, content: bytes) -> None:
        self._answer(200, content, send=len(content) // 2)
        self.state.stopping.wait(30)

    def mode_crawl(self, content: bytes) -> None:
        self._answer(200, content, send=0)
        try:
            for index in range(len(content)):
                self.wfile.write(content[index : index + 1])
                if self.state.stopping.wait(0.1):
                    return
        except OSError:
            self.close_connection = True

    def mode_long(self, content: bytes) -> None:
        self._answer(200, content + b"x", send=len(content))

    def mode_moved(self, content: bytes) -> None:
        self._answer(302, b"", Location=self.state.redirect_to)

    def mode_circle(self, content: bytes) -> None:
        self._answer(302, b"", Location=self.path)

    def mode_replaced(self, content: bytes) -> None:
        if self._fails("replaced"):
            self._answer(200, b"old" * len(content), etag='"old"', send=len(content) // 2)
        else:
            self.mode_ok(content)

    def _look_up(self) -> tuple[str, bytes]:
        mode, _, name = self.path.lstrip("/").partition("/")
        self.state.requests[mode] += 1
        return mode, self.state.files.get(name, b"")

    def _fails(self, mode: str) -> bool:
        return self.state.requests[mode] <= self.state.failures

    def _answer(self, status: int, content: bytes, *, etag: str = '"new"', send: int | None = None, **headers: str) -> None:
        """Headers that promise all of the content, and the first `send` bytes of it; a broken promise ends the connection."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if etag and status in (200, 206):
            self.send_header("ETag", etag)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:send])
        self.wfile.flush()
        if send is not None and self.command == "GET":
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: FaultyServer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state, self.chance = state, random.Random(state.seed)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """Run a faulty server on a free port of 127.0.0.1, behind TLS when a context with a certificate is given."""
    state = FaultyServer()
    server = Server(state)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
