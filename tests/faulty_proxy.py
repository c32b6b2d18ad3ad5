"""A proxy on 127.0.0.1 before a real S3 server that fails in the ways real ones do: set `fault`, and how many answers it spoils.

busy     503 SlowDown instead of an answer
short    the body ends half-way
flip     one byte of the body flipped
html     a log-in page with status 200
expired  400 ExpiredToken
hang     headers and half of the body, then silence
crawl    some ten bytes a second
moved    307 to `redirect_to`
reset    the connection is reset instead of an answer
harm     one byte of what is sent flipped on its way to the server
"""

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class FaultyProxy:
    """How it fails, and what it was asked."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.fault = ""
        self.method = ""
        """Only requests with this method are spoiled; '' is all."""
        self.part = ""
        """Only requests whose path has it are spoiled."""
        self.times = 0
        self.after = 0
        """So many requests pass first."""
        self.requests = 0
        self.asked: list[str] = []
        """Method and path of each request."""
        self.redirect_to = ""
        self.stopping = threading.Event()
        self.url = ""
        self.lock = threading.Lock()

    def spoil(self, fault: str, times: int, *, method: str = "", part: str = "", after: int = 0) -> None:
        """From now on."""
        self.fault, self.times, self.method, self.part, self.after, self.requests = fault, times, method, part, after, 0

    def takes(self, method: str, path: str = "") -> str:
        """The fault of this request, '' for none."""
        with self.lock:
            self.requests += 1
            if self.requests <= self.after or self.times <= 0 or self.method not in ("", method) or self.part not in path:
                return ""
            self.times -= 1
            return self.fault


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.state.takes(self.command, self.path)
        self.server.state.asked.append(f"{self.command} {self.path}")
        if fault in ("busy", "expired"):
            code, status = ("SlowDown", 503) if fault == "busy" else ("ExpiredToken", 400)
            self._answer(status, {"Content-Type": "application/xml"}, ERROR.format(code).encode())
            return
        if fault == "html":
            self._answer(200, {"Content-Type": "text/html"}, PAGE)
            return
        if fault == "moved":
            self._answer(307, {"Location": self.server.state.redirect_to}, b"")
            return
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if fault == "harm" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        upstream = http.client.HTTPConnection(self.server.state.target, timeout=30)
        upstream.request(self.command, self.path, body or None, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection", "content-length")}
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        upstream.close()
        if fault == "flip" and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        self._answer(answer.status, {**headers, "Content-Length": length or "0"}, content, fault=fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, fault: str = "") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        half = content[: len(content) // 2]
        stopping = self.server.state.stopping
        if fault == "crawl":
            for each in content:
                if stopping.wait(0.1):
                    break
                self.wfile.write(bytes([each]))
        elif self.command != "HEAD":
            self.wfile.write(half if fault in ("short", "hang") else content)
        self.wfile.flush()
        if fault == "hang":
            stopping.wait(60)
        self.close_connection = self.close_connection or fault in ("short", "hang", "crawl")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    state: FaultyProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nothing to print."""


@contextmanager
def proxy(target: str) -> Iterator[FaultyProxy]:
    """Run one before `target` on a free port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.state = FaultyProxy(target)
    server.state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.state
    finally:
        server.state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
