"""A client of an S3 server, what its failures mean, and how long to go on trying. Beside s3.py the only module that imports boto3."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from headrace.errors import ConfigError, DataError, EngineError
from headrace.settings import Settings
from headrace.storage.objects import Again, Remedies, Wrong

if TYPE_CHECKING:
    from urllib3 import PoolManager

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 20
FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 8.0
MAX_WRONG = 3
CONNECTIONS = 16

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "401", "Unauthorized", "Forbidden"}
ABSENT = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
PASSING = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "InternalError", "ServiceUnavailable", "BadDigest"}
INTERRUPTED = (HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseParserError, ResponseStreamingError)
FIRST_SERVER_ERROR = 500
REDIRECTS = {301, 302, 303, 307, 308}


class Connection:
    """To one bucket: its client, and `persist`, through which every request goes. The arguments are those of `Bucket`."""

    def __init__(
        self,
        settings: Settings,
        bucket: str,
        *,
        endpoint: str | None,
        budget_s: float | None,
        remedies: Remedies,
        guard: "Callable[[PoolManager], None] | None",
    ) -> None:
        endpoint = endpoint or settings.s3_endpoint
        found = settings.s3_variables(endpoint)
        self.bucket, self.place = bucket, endpoint or "Amazon S3"
        self._budget_s = budget_s or settings.s3_budget_s
        self._jitter = random.Random()
        self._remedies = remedies
        try:
            session = boto3.Session(
                aws_access_key_id=found.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=found.get("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=found.get("AWS_SESSION_TOKEN"),
                region_name=found.get("AWS_DEFAULT_REGION"),
            )
            self.client: Any = session.client(
                "s3",
                endpoint_url=endpoint,
                region_name=session.region_name or "us-east-1",
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": 1},  # ours have a budget
                    max_pool_connections=CONNECTIONS,
                    request_checksum_calculation="when_required",  # servers other than Amazon's refuse the new default
                    response_checksum_validation="when_required",
                    s3={"addressing_style": "path"} if endpoint else {},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"no S3 client can be made: {error}. Correct it in the environment, .env or ~/.aws.") from None
        self._credentials: Callable[[], Any] = session.get_credentials
        if endpoint:
            # botocore takes a redirect for Amazon's hint at another region and asks for that, without end where the answer is a redirect.
            self.client.meta.events.register_first("needs-retry.s3", self._refuse_redirect)
        if guard is not None:
            # botocore has no argument for it; behind a proxy it is the proxy that dials.
            guard(self.client._endpoint.http_session._manager)  # noqa: SLF001

    def _refuse_redirect(self, response: Any, **_: Any) -> None:
        if response is not None and response[0].status_code in REDIRECTS:
            target = response[0].headers.get("Location", "nowhere").partition("?")[0]
            raise EngineError(
                f"{self.place} redirects to {target[:100]} (status {response[0].status_code}), which is not followed. Correct its URL."
            )

    def persist(self, doing: str, act: Callable[[], T], *, progress: Callable[[], int] = lambda: 0) -> T:
        """Act until it works, the budget is spent without progress, it was wrong three times, or it cannot work."""
        deadline, pause, wrong, reached = time.monotonic() + self._budget_s, FIRST_PAUSE_S, 0, 0
        while True:
            try:
                return act()
            except Wrong as error:
                wrong, reason = wrong + 1, str(error)
                if wrong >= MAX_WRONG:
                    raise DataError(
                        f"{doing} in s3://{self.bucket} at {self.place}: {reason}, {wrong} times. {self._remedies.wrong}"
                    ) from None
            except Again as error:
                reason = str(error)
            except ClientError as error:
                reason = self._passing(doing, error)
            except (NoCredentialsError, PartialCredentialsError, ProfileNotFound):
                raise ConfigError(
                    f"no complete S3 credentials for {self.place}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment "
                    "or in .env, or AWS_PROFILE; a workload identity is found by itself."
                ) from None
            except INTERRUPTED as error:
                reason = " ".join(str(error).split())[:200]
            except BotoCoreError as error:
                raise EngineError(
                    f"{doing} in s3://{self.bucket} at {self.place}: {error}. Correct the URL or the keys."
                ) from None
            if progress() > reached:
                reached, deadline, pause = progress(), time.monotonic() + self._budget_s, FIRST_PAUSE_S
            delay = pause * self._jitter.uniform(0.5, 1.0)
            if time.monotonic() + delay > deadline:
                raise EngineError(
                    f"{doing} in s3://{self.bucket} at {self.place} failed for {self._budget_s:g} s; last: {reason}. What is done stays "
                    "done: run the same command again when the server answers."
                ) from None
            time.sleep(delay)
            pause = min(pause * 2, MAX_PAUSE_S)

    def _passing(self, doing: str, error: ClientError) -> str:
        """Why to try again; raises when another try cannot help."""
        code = code_of(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in EXPIRED:
            raise ConfigError(
                f"{doing} in s3://{self.bucket}: {self._whose()} have expired ({code}). Renew them (`aws sso login`, or new values of "
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), then run the same command again."
            ) from None
        if code == "NoSuchBucket":
            raise ConfigError(
                f"{self.place} has no bucket {self.bucket!r}. {self._remedies.no_bucket.format(bucket=self.bucket)}"
            ) from None
        if code in ABSENT:
            raise DataError(f"{doing}: s3://{self.bucket} has no such object. {self._remedies.absent}") from None
        if code in REFUSED:
            raise ConfigError(
                f"{doing} in s3://{self.bucket} at {self.place}: {self._whose()} are refused ({code}). Check the keys and their rights "
                "on the bucket."
            ) from None
        if status >= FIRST_SERVER_ERROR or code in PASSING or status == 429:
            return f"{code} (status {status})"
        raise EngineError(
            f"{doing} in s3://{self.bucket} at {self.place}: the server answers {code} (status {status})."
        ) from None

    def _whose(self) -> str:
        """Which credentials are used, without a secret: where they come from and how their key ends."""
        with suppress(BotoCoreError):
            found = self._credentials()
            if found is not None:
                origin = {"explicit": "AWS_ACCESS_KEY_ID in the environment, .env or of headrace up"}.get(
                    found.method, found.method
                )
                return f"the credentials of {origin} (key ...{found.access_key[-4:]})"
        return "the credentials"


def signed_headers(method: str, url: str, body: bytes, *, access_key: str, secret_key: str, region: str) -> dict[str, str]:
    """The headers that prove who asks, for a single request whose status is wanted and nothing tried again."""
    request = AWSRequest(method=method, url=url, data=body)
    S3SigV4Auth(Credentials(access_key, secret_key), "s3", region).add_auth(request)
    return dict(request.headers.items())


def code_of(error: ClientError) -> str:
    """What S3 calls it."""
    return str(error.response.get("Error", {}).get("Code", ""))
