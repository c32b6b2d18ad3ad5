"""What collect.sources may say."""

import pytest

from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.stages.collect import Params


def parse(*sources):
    values = {"task": "image_classification", "format": "idx", "sources": list(sources)}
    return parse_section(values, "collect", Params, where="params.yaml")


def sql(url, **more):
    return {"kind": "sql", "name": "my-shop", "url": url, "query": "select 1 as id", "order_by": ["id"], **more}


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"kind": "http", "dataset": "a", "files": [{"url": "file:///etc/passwd"}]}, "only http:// and https://"),
        (
            {"kind": "http", "dataset": "a", "files": [{"url": "https://me:secret@example.org/a.zip"}]},
            "carries a user or password",
        ),
        ({"kind": "http", "dataset": "a", "files": [{"url": "https://example.org/"}]}, "no plain file name"),
        ({"kind": "http", "dataset": "a", "files": [{"url": "https://example.org/a", "sha256": "0" * 64}]}, "given together"),
        ({"kind": "http", "dataset": "../a", "files": [{"url": "https://example.org/a"}]}, "dataset"),
        ({"kind": "files", "name": "a", "paths": ["/mnt/data"]}, "a place of one machine"),
        ({"kind": "files", "name": "a", "paths": []}, "at least 1"),
        ({"kind": "ftp", "name": "a"}, "ftp"),
        ({"kind": "s3", "name": "a", "bucket": "data", "prefix": "a/", "objects": ["b"]}, "are given both"),
        ({"kind": "s3", "name": "a", "bucket": "data", "objects": ["b", {"key": "b"}]}, "two entries have the key 'b'"),
        ({"kind": "s3", "name": "a", "bucket": "../data"}, "bucket"),
        ({"kind": "s3", "name": "a", "bucket": "data", "endpoint": "file:///etc"}, "http:// or https://"),
        ({"kind": "s3", "name": "a", "bucket": "data", "endpoint": "https://key:secret@s3.example.org"}, "carries keys"),
        (sql("postgresql://me:secret@db.example.org/shop"), "HEADRACE_SQL_PASSWORD_MY_SHOP"),
        (sql("postgresql://db.example.org/shop?password=secret"), "carries a password"),
        (sql("postgresql://db.example.org/shop?host=169.254.169.254"), "the option 'host'"),
        (sql("postgresql://db.example.org/shop?hostaddr=10.0.0.1"), "the option 'hostaddr'"),
        (sql("postgresql:///shop"), "postgresql://user@host/database"),
        (sql("postgresql://db.example.org/shop?service=secret"), "the option 'service'"),
        (sql("sqlite:////etc/passwd"), "relative to the project"),
        (sql("sqlite:///a.db?mode=rwc"), "relative to the project"),
        (sql("sqlite://"), "relative to the project"),
        (sql("mysql://db.example.org/shop"), "known are postgresql and sqlite"),
        (sql("postgresql+asyncpg://db.example.org/shop"), "known are postgresql and sqlite"),
        (sql("sqlite:///a.db", order_by=[]), "order_by"),
    ],
)
def test_wrong_source_is_refused_with_its_reason(source, told):
    """The message names what is wrong; a secret in a URL is not repeated."""
    with pytest.raises(ParamsError, match=told) as caught:
        parse(source)

    assert "secret" not in str(caught.value)


def test_unknown_key_of_a_source_gets_the_nearest():
    """The union of kinds must not hide what was mistyped."""
    with pytest.raises(ParamsError, match="Did you mean 'dataset'"):
        parse({"kind": "bundled", "datset": "digits", "dataset": "digits"})


def test_two_sources_of_one_name_are_refused():
    """Records would not say which of them they came from."""
    with pytest.raises(ParamsError, match="source 'digits'"):
        parse({"kind": "bundled", "dataset": "digits"}, {"kind": "bundled", "dataset": "digits"})
