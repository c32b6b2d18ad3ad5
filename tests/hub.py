"""A hub of models on 127.0.0.1: commits of one repository, as the API of Hugging Face tells of them and hands out their files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

NAME = "tiny/encoder"


class Hub:
    """What it has, what it was asked, and by whom."""

    def __init__(self) -> None:
        self.url = ""
        self.commits: dict[str, dict[str, bytes]] = {}
        self.revisions: dict[str, str] = {}
        self.refusal: tuple[int, str] | None = None
        """Status and X-Error-Code of every answer."""
        self.large_files_at = ""
        """Another server, which the large files are redirected to."""
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        """What the header Authorization had, '' where there was none."""

    def commit(self, files: dict[str, bytes], revision: str = "main") -> str:
        """Add a commit and move a branch or tag there; returns its sha."""
        sha = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        self.revisions[revision] = sha
        return sha


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""

    def do_GET(self) -> None:
        hub, path = self.server.hub, urlsplit(self.path).path
        hub.asked.append(path)
        hub.tokens.add(self.headers.get("Authorization", ""))
        if hub.refusal:
            return self._answer(hub.refusal[0], b"", {"X-Error-Code": hub.refusal[1]})
        if path.startswith(f"/api/models/{NAME}/revision/"):
            return self._tell(hub, unquote(path.rpartition("/")[2]))
        repository, _, rest = path[1:].partition("/resolve/")
        sha, _, name = rest.partition("/")
        if repository != NAME or name not in hub.commits.get(sha, {}):
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound" if repository == NAME else "RepoNotFound"})
        if hub.large_files_at and name.endswith(".safetensors"):
            return self._answer(302, b"", {"Location": f"{hub.large_files_at}{path}"})
        return self._answer(200, hub.commits[sha][name], {"ETag": f'"{sha}"'})

    def _tell(self, hub: Hub, revision: str) -> None:
        sha = revision if revision in hub.commits else hub.revisions.get(revision)
        if sha is None:
            return self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        files = []
        for name, content in hub.commits[sha].items():
            large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            files.append({"rfilename": name, "size": len(content)} | ({"lfs": large} if name.endswith(".safetensors") else {}))
        answer = {"id": NAME, "sha": sha, "siblings": files, "gated": False}
        return self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    hub: Hub


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub at work; whoever closes it early has one that does not answer."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = hub = Hub()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
