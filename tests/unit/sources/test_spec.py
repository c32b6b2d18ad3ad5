"""What collect.sources may say."""

import pytest

from headrace.errors import ParamsError
from headrace.params import parse_section
from headrace.stages.collect import Params


def parse(*sources):
    values = {"task": "image_classification", "format": "idx", "sources": list(sources)}
    return parse_section(values, "collect", Params, where="params.yaml")


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
