"""Signatures, against the client that everybody uses."""

import datetime
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from headrace.services.s3_request import signed_headers

NOW = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"content"), ("DELETE", b"")])
def test_a_signature_is_that_of_botocore(method: str, body: bytes) -> None:
    url = "http://127.0.0.1:9000/bucket/key"
    request = AWSRequest(method=method, url=url, data=body, headers={"host": "127.0.0.1:9000"})
    with patch("botocore.auth.get_current_datetime", return_value=NOW):
        S3SigV4Auth(Credentials("user:name", "secret"), "s3", "us-east-1").add_auth(request)

    ours = signed_headers(method, url, body, secret="secret", access_key="user:name", now=NOW)

    assert ours["Authorization"] == request.headers["Authorization"]
