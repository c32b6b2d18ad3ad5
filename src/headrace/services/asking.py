"""HTTP to a service of this machine: one request, a status, a body. Any proxy of the environment is left aside."""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

NO_ANSWER = 0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(
    url: str,
    *,
    login: tuple[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    json_body: Any = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 5.0,
) -> tuple[int, bytes]:
    """Send a request; returns status and body, status 0 when nobody answers."""
    sent = dict(headers or {})
    if login is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    if json_body is not None:
        body = json.dumps(json_body).encode()
        sent["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=body, headers=sent, method=method)  # noqa: S310  # our own URLs
    try:
        with _opener.open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, ValueError, http.client.HTTPException):  # the last: it was killed in mid-answer
        return NO_ANSWER, b""


def wait_for(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.1) -> bool:
    """Whether `condition` came true within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True
