"""What an object of a bucket is, and what came of it so far: plain data beside storage/s3.py."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHUNK = 16 * 1024
"""Bytes asked of a body at once: few enough that a crawling server is noticed while it crawls."""
WINDOW_S, MIN_BYTES_PER_S = 10.0, 2_000.0
"""A body that comes more slowly over so long is dropped and asked for again."""


@dataclass(frozen=True)
class Stored:
    """One object as the bucket lists it."""

    key: str
    size: int
    etag: str
    """MD5 of the content where it was stored in one piece without a key of the server's; else another mark."""
    version: str = ""
    """Version id, where it is known; a listing does not tell it."""
    modified: float = 0.0
    """Seconds since the epoch, where a listing told it."""


@dataclass(frozen=True)
class Upload:
    """An upload in parts that has not been completed."""

    key: str
    mark: str
    """The server's id of it."""
    begun: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Content:
    """What was received of an object."""

    size: int
    md5: str
    sha256: str
    version: str
    """Version id, '' where the bucket has no versions."""


@dataclass(frozen=True)
class Remedies:
    """What to do about an object, in the words of whoever uses the bucket."""

    absent: str = "headrace remote audit lists what is missing."
    wrong: str = "headrace remote audit looks at all objects; a proxy in between may also be the cause."
    no_bucket: str = "Correct its name, or make it: headrace remote add s3://{bucket}/... --create"


class Wrong(Exception):
    """An answer that cannot be what was stored; worth another try."""


class Again(Exception):
    """The answer stopped before its end, or crawled."""


@dataclass(frozen=True)
class Wanted:
    """What an object must be; '' for anything."""

    md5: str = ""
    sha256: str = ""
    etag: str = ""
    version: str = ""


class SoFar:
    """The beginning of an object, and what it is the beginning of."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing was received."""
        self.size, self.promised, self.etag = 0, 0, ""
        self.md5, self.sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Some more bytes of it."""
        self.size += len(chunk)
        self.md5.update(chunk)
        self.sha256.update(chunk)


def paced(body: Any) -> Iterator[bytes]:
    """Chunks of a body.

    Raises:
        Again: fewer than MIN_BYTES_PER_S came over a whole window.
    """
    since, received = time.monotonic(), 0
    for chunk in body.iter_chunks(CHUNK):
        yield chunk
        received += len(chunk)
        elapsed = time.monotonic() - since
        if elapsed >= WINDOW_S:
            if received < MIN_BYTES_PER_S * elapsed:
                raise Again(f"only {received / elapsed:.0f} bytes a second")
            since, received = time.monotonic(), 0
