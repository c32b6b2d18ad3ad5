"""A bucket, read and written so that nothing wrong passes for right.

What a client believes by itself is too little: a proxy's log-in page has status 200, a body may end early, and bytes may differ from
those that were stored. Lengths and digests are checked here; what may pass is tried again by s3_connection.py.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from headrace.errors import DataError
from headrace.settings import Settings
from headrace.storage.local import atomic_path
from headrace.storage.objects import Again, Content, Remedies, SoFar, Stored, Upload, Wanted, Wrong, paced
from headrace.storage.s3_connection import ABSENT, Connection, code_of

if TYPE_CHECKING:
    from urllib3 import PoolManager

WHOLE_BYTES = 64 * 1024**2
"""Up to here an object is sent in one request, whose MD5 the server checks."""
NO_VERSION = {"NoSuchVersion", "InvalidArgument", "400", "MethodNotAllowed", "405"}
"""What servers answer to a version id that they do not know, or that is the mark of a deletion."""


class Bucket:
    """One bucket of an S3 server."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        *,
        endpoint: str | None = None,
        budget_s: float | None = None,
        remedies: Remedies | None = None,
        guard: "Callable[[PoolManager], None] | None" = None,
    ) -> None:
        """Connects at the first request.

        Args:
            settings: of this machine: keys and region.
            name: of the bucket.
            endpoint: URL of the server; default: the settings', else Amazon's.
            budget_s: seconds of trying again without progress; default: the settings'.
            remedies: what messages advise.
            guard: told the connections of this client before the first is made, to check what they dial.

        Raises:
            ConfigError: AWS_PROFILE names no profile.
        """
        self.name = name
        self._remedies = remedies or Remedies()
        connection = Connection(settings, name, endpoint=endpoint, budget_s=budget_s, remedies=self._remedies, guard=guard)
        self.place, self._client, self._try = connection.place, connection.client, connection.persist

    def objects(self, prefix: str = "") -> Iterator[Stored]:
        """Every object whose key begins with the prefix, in key order."""
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = self._try(f"listing {prefix or 'the bucket'}", functools.partial(self._page, prefix, more))
            for each in page.get("Contents", []):
                yield Stored(each["Key"], int(each["Size"]), _plain(each["ETag"]), modified=each["LastModified"].timestamp())
            token = page.get("NextContinuationToken")
            if not token:
                return

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, **more)
        if page.get("Name") != self.name:  # a page of HTML parses as a listing of nothing
            raise Wrong("the answer is no listing of this bucket (a log-in page of a proxy?)")
        return page

    def head(self, key: str, version: str = "") -> Stored | None:
        """Size, mark and version of one object, None if there is none."""

        def ask() -> Stored | None:
            try:
                answer = self._client.head_object(Bucket=self.name, Key=key, **_of(version))
            except ClientError as error:
                if code_of(error) in ABSENT or (version and code_of(error) in NO_VERSION):
                    return None
                raise
            if "ETag" not in answer:
                raise Wrong("the answer is no object of this bucket (a log-in page of a proxy?)")
            return Stored(key, int(answer["ContentLength"]), _plain(answer["ETag"]), str(answer.get("VersionId", "")))

        return self._try(f"looking at {key}", ask)

    def read(self, key: str, *, md5: str = "", sha256: str = "") -> bytes:
        """The content of an object, checked for its length and, where given, its digest.

        Raises:
            DataError: there is no such object, or three times it was not what the digest says.
        """
        parts: list[bytes] = []
        self._receive(key, parts.append, parts.clear, Wanted(md5=md5, sha256=sha256))
        return b"".join(parts)

    def download(
        self, key: str, target: Path, *, md5: str = "", sha256: str = "", etag: str = "", version: str = "",
        advance: Callable[[int], None] = lambda _: None,
    ) -> Content:  # fmt: skip
        """As `read`, into a file that has its name only when all of it is there and right.

        Args:
            key: of the object.
            target: the file.
            md5: that the content must have; '' for any.
            sha256: that the content must have; '' for any.
            etag: mark that the object must have, as a listing told it; '' for any.
            version: id of the version; '' for the latest.
            advance: told the number of new bytes; may raise to stop.

        Raises:
            DataError: there is no such object or version, it has another mark, or three times it was not what the digest says.
        """

        def take(chunk: bytes) -> None:
            file.write(chunk)
            advance(len(chunk))

        with atomic_path(target) as temporary, temporary.open("wb") as file:
            return self._receive(key, take, lambda: _empty(file), Wanted(md5, sha256, etag, version))

    def md5(self, key: str) -> str:
        """MD5 of the content as the bucket gives it now; all of it is read."""
        return self._receive(key, lambda _: None, lambda: None, Wanted()).md5

    def put(self, key: str, source: Path | bytes) -> None:
        """Store an object; the server compares the MD5, or the size of what is sent in parts is compared afterwards."""
        size = len(source) if isinstance(source, bytes) else source.stat().st_size

        def send() -> None:
            if size > WHOLE_BYTES and isinstance(source, Path):
                self._client.upload_file(str(source), self.name, key)
                found = int(self._client.head_object(Bucket=self.name, Key=key)["ContentLength"])
                if found != size:
                    raise Wrong(f"{found:,} bytes are stored instead of {size:,}")
                return
            content = source if isinstance(source, bytes) else source.read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False)
            answer = self._client.put_object(Bucket=self.name, Key=key, Body=content, ContentMD5=_base64(digest.digest()))
            if "ETag" not in answer:
                raise Wrong("the answer does not say that it was stored (a log-in page of a proxy?)")

        self._try(f"storing {key}", send)

    def remove(self, key: str) -> None:
        """Delete an object, if there is one."""
        self._try(f"deleting {key}", lambda: self._client.delete_object(Bucket=self.name, Key=key))

    def unfinished(self, prefix: str = "") -> Iterator[Upload]:
        """Uploads in parts that were neither completed nor given up: they take space, and no listing of objects shows them."""
        marks: dict[str, str] = {}
        while True:
            page = self._try("listing unfinished uploads", functools.partial(self._uploads, prefix, marks))
            for each in page.get("Uploads", []):
                yield Upload(each["Key"], each["UploadId"], each["Initiated"].timestamp())
            if not page.get("IsTruncated"):
                return
            marks = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _uploads(self, prefix: str, marks: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._client.list_multipart_uploads(Bucket=self.name, Prefix=prefix, **marks)
        if page.get("Bucket") != self.name:
            raise Wrong("the answer is no listing of this bucket (a log-in page of a proxy?)")
        return page

    def abandon(self, upload: Upload) -> None:
        """Give an unfinished upload up and free its parts; one that has ended meanwhile is none."""

        def give_up() -> None:
            try:
                self._client.abort_multipart_upload(Bucket=self.name, Key=upload.key, UploadId=upload.mark)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

        self._try(f"giving up an upload of {upload.key}", give_up)

    def create(self) -> None:
        """Make the bucket if it is not there."""

        def make() -> None:
            region = self._client.meta.region_name
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                self._client.create_bucket(Bucket=self.name, **where)
            except ClientError as error:
                if code_of(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                    raise

        self._try("making the bucket", make)

    def _receive(self, key: str, take: Callable[[bytes], Any], again: Callable[[], Any], wanted: Wanted) -> Content:
        """Receive all of an object. What was interrupted goes on where it stopped; what was wrong begins anew."""
        sofar = SoFar()

        def receive() -> Content:
            start = sofar.size if sofar.etag else 0
            if not start:
                again()
                sofar.clear()
            answer = self._get(key, wanted, sofar, start)
            with closing(answer["Body"]) as body:  # else what is dropped half-way stays connected
                self._check(key, answer, wanted, sofar, start)
                for chunk in paced(body):
                    take(chunk)
                    sofar.add(chunk)
            if sofar.size != sofar.promised:
                raise Again(f"the answer ended after {sofar.size:,} of {sofar.promised:,} bytes")
            content = Content(sofar.size, sofar.md5.hexdigest(), sofar.sha256.hexdigest(), str(answer.get("VersionId", "")))
            md5 = wanted.md5 or (sofar.etag if wanted.etag and _is_md5(answer, self.name) else "")
            for name, digest, found in (("md5", md5, content.md5), ("sha256", wanted.sha256, content.sha256)):
                if digest and found != digest:
                    sofar.clear()
                    raise Wrong(f"its {name} is {found} instead of {digest}")
            return content

        return self._try(f"reading {key}", receive, progress=lambda: sofar.size)

    def _get(self, key: str, wanted: Wanted, sofar: SoFar, start: int) -> dict[str, Any]:
        """The answer with the object, from byte `start` on."""
        span = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer: dict[str, Any] = self._client.get_object(Bucket=self.name, Key=key, **_of(wanted.version), **span)
        except ClientError as error:
            if wanted.version and code_of(error) in NO_VERSION:
                raise DataError(f"s3://{self.name} has no version {wanted.version} of {key}. {self._remedies.absent}") from None
            if start and code_of(error) == "InvalidRange":
                sofar.clear()
                raise Again("the object has become shorter") from None
            raise
        return answer

    def _check(self, key: str, answer: dict[str, Any], wanted: Wanted, sofar: SoFar, start: int) -> None:
        """Refuse an answer that is not the rest of what was meant."""
        if "ETag" not in answer:
            sofar.clear()
            raise Wrong("the answer is no object of this bucket (a log-in page of a proxy?)")
        etag = _plain(answer["ETag"])
        if wanted.etag and etag != wanted.etag:
            raise DataError(f"{key} in s3://{self.name} changed while it was read. Run the same command again.")
        if start and (etag != sofar.etag or not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-")):
            sofar.clear()
            raise Again("the object changed, or the server gave another part than was asked for")
        sofar.etag, sofar.promised = etag, start + int(answer["ContentLength"])


def _is_md5(answer: dict[str, Any], bucket: str) -> bool:
    """Whether the ETag is the MD5 of the content: stored in one piece, not encrypted with another key than the server's own."""
    encrypted = answer.get("ServerSideEncryption") not in (None, "AES256") or "SSECustomerAlgorithm" in answer
    # Directory buckets (their names end so) give marks of another kind.
    return not encrypted and not bucket.endswith("--x-s3") and re.fullmatch("[0-9a-f]{32}", _plain(answer["ETag"])) is not None


def _of(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}


def _plain(etag: object) -> str:
    return str(etag).strip('"')


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
