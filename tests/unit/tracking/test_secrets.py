"""Credentials stay out of what is recorded."""

import pytest

from headrace.tracking.secrets import is_secret_key, strip_secrets


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://user:CANARY@host/x", "https://host/x"),
        ("clone https://CANARY@github.com/a/b.git now", "clone https://github.com/a/b.git now"),
        ("postgresql+psycopg2://u:CANARY@db:5432/mlflow", "postgresql+psycopg2://db:5432/mlflow"),
        ("https://b.s3/x?X-Amz-Signature=CANARY&part=1", "https://b.s3/x?X-Amz-Signature=***&part=1"),
        ("https://h/x?token=CANARY", "https://h/x?token=***"),
    ],
)
def test_url_credentials_are_taken_out(text, clean):
    """User info and signed queries are the two places where URLs carry secrets."""
    assert strip_secrets(text) == clean


def test_plain_text_is_left_alone():
    """A mail address or an ssh remote has no secret in it."""
    text = "git@github.com:a/b.git, mail me@x.org, https://host/path@2x.png, sha 12"

    assert strip_secrets(text) == text


def test_key_names_of_secrets_are_known():
    """A value is a secret when its name says so; 'tokens' or 'token_count' are numbers."""
    assert is_secret_key("a.password")
    assert is_secret_key("s3.secret_key")
    assert not is_secret_key("train.tokens")
    assert not is_secret_key("train.token_count")
