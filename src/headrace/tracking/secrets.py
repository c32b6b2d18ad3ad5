"""Keep credentials out of whatever is recorded."""

import re

_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s'\"]+@")
_SIGNED_QUERY = re.compile(
    r"([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|awsaccesskeyid|sig|signature|token|access_token|api_?key|key|password|secret|sv|se)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(
    r"(^|[._-])(password|passwd|secret|token|credentials?|api_?key|access_?key|secret_?key|account_?key|private_?key)$",
    re.IGNORECASE,
)

MASK = "***"


def strip_secrets(text: str) -> str:
    """The text with user names and passwords taken out of URLs, and signatures and keys out of their queries."""
    return _SIGNED_QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(r"\1", text))


def is_secret_key(key: str) -> bool:
    """Whether a parameter's name says that its value is a secret."""
    return _SECRET_KEY.search(key) is not None
