"""A signed S3 request, for the health of the object store: 40 lines instead of half a second to import a client.

Source: AWS, "Signature Version 4 signing process", checked against botocore in the tests.
"""

import hashlib
import hmac
import urllib.parse
from datetime import UTC, datetime

from headrace.services.asking import ask
from headrace.services.credentials import ACCESS_KEY, REGION


def signed_headers(
    method: str, url: str, body: bytes, *, secret: str, access_key: str = ACCESS_KEY, now: datetime | None = None
) -> dict[str, str]:
    """The headers that prove who asks.

    Args:
        method: of HTTP.
        url: with a path that needs no escaping and without a query.
        body: of the request.
        secret: secret key.
        access_key: access key.
        now: time of the request, UTC; default: now.
    """
    parts = urllib.parse.urlsplit(url)
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, parts.path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest])
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": proof}


def s3(method: str, url: str, *, secret: str, body: bytes = b"", timeout_s: float = 10.0) -> tuple[int, bytes]:
    """Send a signed request; returns status and body, status 0 when nobody answers."""
    headers = signed_headers(method, url, body, secret=secret)
    return ask(url, method=method, body=body if method == "PUT" else None, headers=headers, timeout_s=timeout_s)
