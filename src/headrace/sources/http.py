"""Download one file so that a bad network costs time and never data.

Interrupted downloads are continued (Range with If-Range), failures are retried with growing, jittered pauses while the budget
lasts, a silent or crawling server is dropped, and nothing lands that has not the promised length and sha256.
"""

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256, value_sha256
from headrace.formats.opening import looks_like_html
from headrace.sources.connections import open_client
from headrace.sources.hosts import MAX_REDIRECTS, check_host
from headrace.sources.partial import VALIDATORS, Partial
from headrace.sources.spec import strip_user
from headrace.sources.store import Store

MAX_WRONG = 3
"""Complete answers with wrong bytes before the source is given up."""

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may fail."""

    budget_s: float = 60.0
    """Seconds without a new byte after which the download is given up."""
    read_timeout_s: float = 20.0
    """Seconds of silence after which a connection is dropped."""
    window_s: float = 10.0
    """Span over which the speed is measured."""
    min_bytes_per_s: float = 2_000.0
    """A slower connection is dropped and asked again."""
    first_pause_s: float = 0.5
    """Pause before the first retry; doubled each time up to 15 s, with jitter."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to download."""

    url: str
    name: str
    sha256: str | None
    size: int | None


class Failed(SourceError):
    """A download that came to nothing, with what was seen: for who knows a better remedy than its message."""

    def __init__(self, message: str, *, reason: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        """What was seen last, where it was no final answer."""
        self.status = status
        """The server's final answer, 0 without one."""
        self.code = code
        """What it is in the header X-Error-Code."""


class _Again(Exception):
    """This attempt failed in a way that may pass."""

    def __init__(self, reason: str, *, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _WrongBytes(Exception):
    """A complete answer that is not the promised file."""


def download(
    wanted: Wanted,
    store: Store,
    *,
    allowed: Collection[str] = (),
    patience: Patience | None = None,
    advance: Callable[[int], None] = lambda _: None,
    auth: httpx.Auth | None = None,
) -> Path:
    """Bring a file into the store and return its path there.

    Args:
        wanted: the file; without a sha256 any complete answer that is no web page is taken.
        store: where it lands.
        allowed: private hosts that may be asked.
        patience: limits of time and speed.
        advance: told the number of new bytes.
        auth: what a server wants to know of who asks; `Bearer` tells it to that server only.

    Raises:
        SourceError: refused, not there, wrong three times, or the budget is spent; says what was seen last.
    """
    patience = patience or Patience()
    check_host(wanted.url, allowed=allowed)
    partial = Partial(store.partial(value_sha256([wanted.url, wanted.sha256])[:32]))
    timeout = httpx.Timeout(patience.read_timeout_s, connect=min(10.0, patience.read_timeout_s))
    with partial.held(), open_client(timeout, allowed=allowed, auth=auth) as client:
        if wanted.sha256 and (present := store.find(wanted.sha256, wanted.name)):
            return present  # another process landed it while this one waited for the lock
        digest = _persist(client, wanted, partial, allowed, patience, advance)
        landed = store.land(partial.path, digest, wanted.name)
        partial.forget()
        return landed


def _persist(
    client: httpx.Client,
    wanted: Wanted,
    partial: Partial,
    allowed: Collection[str],
    patience: Patience,
    advance: Callable[[int], None],
) -> str:
    """Ask until the file is whole and right; returns its sha256."""
    jitter = random.Random()
    deadline, pause, wrong = time.monotonic() + patience.budget_s, patience.first_pause_s, 0
    while True:
        before = partial.size
        try:
            _attempt(client, wanted, partial, allowed, patience, advance)
            return _verified(wanted, partial)
        except _WrongBytes as problem:
            partial.discard()
            wrong += 1
            if wrong >= MAX_WRONG:
                raise Failed(
                    f"{strip_user(wanted.url)} sent wrong bytes {wrong} times: {problem}. If the file was replaced on purpose, "
                    "correct its sha256 and size in collect.sources; else get it elsewhere and set HEADRACE_MIRROR.",
                    reason=f"wrong bytes, {wrong} times: {problem}",
                ) from None
            reason, wait_s = str(problem), 0.0
        except _Again as problem:
            reason, wait_s = str(problem), problem.wait_s
        except httpx.TransportError as problem:
            reason, wait_s = f"{type(problem).__name__}: {problem}".rstrip(": "), 0.0
        if partial.size > before:
            deadline, pause = time.monotonic() + patience.budget_s, patience.first_pause_s
        delay = max(wait_s, pause * jitter.uniform(0.5, 1.0))
        if time.monotonic() + delay > deadline:
            raise Failed(
                f"{strip_user(wanted.url)} could not be fetched within {patience.budget_s:g} s; last: {reason}. "
                f"{partial.size} bytes are kept for a rerun. Offline, set HEADRACE_MIRROR to a folder that has the file.",
                reason=f"no file within {patience.budget_s:g} s; last: {reason}",
            )
        time.sleep(delay)
        pause = min(pause * 2, 15.0)


def _attempt(
    client: httpx.Client,
    wanted: Wanted,
    partial: Partial,
    allowed: Collection[str],
    patience: Patience,
    advance: Callable[[int], None],
) -> None:
    start, validator = partial.size, partial.validator
    if start and (start == wanted.size):
        return  # it was whole already: only the verification is left
    headers = {"Accept-Encoding": "identity", "User-Agent": "headrace"}
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    else:
        start = 0
    with _follow(client, wanted.url, headers, allowed) as response:
        if response.status_code == 416:
            partial.discard()
            raise _Again("the server has fewer bytes than were received (416)")
        if response.status_code == 206 and _range_start(response) != start:
            partial.discard()
            raise _Again("the server sent another range than was asked for")
        if response.status_code == 200:
            start = 0  # no ranges here, or the file was replaced: from the beginning
        _check_length(response, wanted, start)
        partial.remember(response.headers)
        with partial.path.open("ab") as file:
            file.truncate(start)
            for chunk in _paced(response, patience):
                file.write(chunk)
                advance(len(chunk))
                if wanted.size is not None and file.tell() > wanted.size:
                    raise _WrongBytes(f"more than the promised {wanted.size} bytes")


@contextmanager
def _follow(client: httpx.Client, url: str, headers: dict[str, str], allowed: Collection[str]) -> Iterator[httpx.Response]:
    """Open a response with status 200, 206 or 416; every hop of a redirect is checked before it is taken, and when it is dialled."""
    for _ in range(MAX_REDIRECTS + 1):
        with client.stream("GET", url, headers=headers) as response:
            if response.is_redirect:
                url = urljoin(url, response.headers["location"])
                check_host(url, allowed=allowed)
                continue
            if response.status_code in _RETRIED:
                raise _Again(f"status {response.status_code}", wait_s=_retry_after(response))
            if response.status_code not in (200, 206, 416):
                raise Failed(
                    f"{strip_user(url)} answered {response.status_code} {response.reason_phrase}. Correct collect.sources, "
                    "or set HEADRACE_MIRROR to a folder that has the file as <data set>/<file name>.",
                    status=response.status_code,
                    code=response.headers.get("x-error-code", ""),
                )
            yield response
            return
    raise SourceError(f"{strip_user(url)} redirects more than {MAX_REDIRECTS} times. Correct collect.sources.")


def _paced(response: httpx.Response, patience: Patience) -> Iterator[bytes]:
    """Raw chunks of the body; raises when fewer than min_bytes_per_s come over a whole window."""
    since, received = time.monotonic(), 0
    # iter_raw: what a server marks as `Content-Encoding: gzip` may be the .gz file itself.
    for chunk in response.iter_raw():
        yield chunk
        received += len(chunk)
        elapsed = time.monotonic() - since
        if elapsed >= patience.window_s:
            if received < patience.min_bytes_per_s * elapsed:
                raise _Again(f"only {received / elapsed:.0f} bytes a second")
            since, received = time.monotonic(), 0


def _check_length(response: httpx.Response, wanted: Wanted, start: int) -> None:
    length = response.headers.get("content-length", "")
    if wanted.size is None or not length.isdigit() or start + int(length) == wanted.size:
        return
    beginning = next(response.iter_raw(512), b"")
    seen = "a web page, such as a log-in page" if looks_like_html(beginning) else f"{start + int(length)} bytes"
    raise _WrongBytes(f"promised were {wanted.size} bytes, the server offers {seen}")


def _verified(wanted: Wanted, partial: Partial) -> str:
    size, digest = partial.size, file_sha256(partial.path)
    if wanted.sha256 is None:
        with partial.path.open("rb") as file:
            if looks_like_html(file.read(512)) and not wanted.name.endswith((".html", ".htm")):
                raise _WrongBytes("it is a web page, such as a log-in page")
        return digest
    if digest == wanted.sha256:
        return digest
    if wanted.size is not None and size < wanted.size:
        raise _Again(f"the answer ended after {size} of {wanted.size} bytes")
    with partial.path.open("rb") as file:
        seen = "it is a web page, such as a log-in page" if looks_like_html(file.read(512)) else f"its sha256 is {digest}"
    raise _WrongBytes(f"{seen}, expected {wanted.sha256}")


def _range_start(response: httpx.Response) -> int:
    unit, _, rest = response.headers.get("content-range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0


def probe(url: str, *, allowed: Collection[str] = (), timeout_s: float = 20.0) -> dict[str, str]:
    """Cheap fingerprint of a file on a server: its length and validators, by HEAD; {} when the server tells none.

    Raises:
        SourceError: refused, or the server cannot be asked.
    """
    check_host(url, allowed=allowed)
    with open_client(timeout_s, allowed=allowed) as client:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                response = client.head(url, headers={"Accept-Encoding": "identity", "User-Agent": "headrace"})
                if not response.is_redirect:
                    break
                url = urljoin(url, response.headers["location"])
                check_host(url, allowed=allowed)
        except httpx.TransportError as problem:
            raise SourceError(
                f"{strip_user(url)} cannot be asked: {problem}. Check the network, then run the command again."
            ) from None
    if response.status_code != 200 or not any(name in response.headers for name in VALIDATORS):
        return {}
    return {name: response.headers[name] for name in ("content-length", *VALIDATORS) if name in response.headers}
