"""params.yaml: what is refused, and whether the message says where and what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from headrace.errors import ParamsError
from headrace.params import Section, did_you_mean, load_section, parse_section, read_yaml


class Inner(Section):
    rate: float = Field(default=0.1, gt=0)


class Outer(Section):
    epochs: int = 3
    inner: Inner = Inner()
    views: list[Inner] = Field(default=[])


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{last}'] * 10)}]\n" for last, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n  b: 2\n", r"params\.yaml:2 is not valid YAML: mapping values are not allowed here"),
        ("a: 1\na: 2\n", r"params\.yaml:2 .*duplicate key \"a\""),
        ("\tx: 1\n", r"params\.yaml:1 .*cannot start any token"),
        ("a: [1,\nb: 2\n", r"params\.yaml:\d .*expected ',' or ']'"),
        ("a: !!python/object/apply:os.mkdir [evil]\n", r"params\.yaml:1 .*could not determine a constructor"),
        ("a: b\x01\n", r"params\.yaml is not valid YAML: unacceptable character"),
        ("a: 2026-13-45\n", r"params\.yaml is not valid YAML: month"),
        ("[" * 5000, r"params\.yaml is not valid YAML: maximum recursion"),
        (BOMB, r"expands to more than 100000 values"),
        ("# " + "x" * 1_000_000, r"has 1000002 bytes"),
        ("- 1\n- 2\n", r"must hold a mapping of sections, found a list"),
    ],
    ids=["indent", "duplicate", "tab", "open", "tag", "control", "date", "depth", "bomb", "size", "list"],
)
def test_yaml_that_is_not_settings_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """One line a person can act on; nothing named in the file is ever called."""
    with pytest.raises(ParamsError, match=message):
        read_yaml(written(tmp_path, text))

    assert not (tmp_path / "evil").exists()


@pytest.mark.badinput
def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    """An editor's latin-1."""
    path = tmp_path / "params.yaml"
    path.write_bytes("a: Gr\xfc\xdfe\n".encode("latin-1"))

    with pytest.raises(ParamsError, match=r"is not UTF-8 text .* at byte 5\)\. Save it as UTF-8"):
        read_yaml(path)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"unknown key 'train\.epoch'\. Did you mean 'epochs'\?"),
        ({"inner": {"rates": 1}}, r"unknown key 'train\.inner\.rates'\. Did you mean 'rate'\?"),
        ({"views": [{"rat": 1}]}, r"unknown key 'train\.views\.0\.rat'\. Did you mean 'rate'\?"),
        ({"epochs": "many"}, r"'train\.epochs' is 'many': input should be a valid integer"),
        ({"inner": {"rate": 0}}, r"'train\.inner\.rate' is 0: input should be greater than 0"),
        ([1], r"section 'train' must be a mapping, found \[1\]"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(values: object, message: str) -> None:
    """What is wrong, where, and the nearest key that exists."""
    with pytest.raises(ParamsError, match=message):
        parse_section(values, "train", Outer, where="params.yaml")  # type: ignore[arg-type]


@pytest.mark.badinput
def test_every_wrong_value_of_a_section_is_told_at_once() -> None:
    """Nobody mends a file one error at a time."""
    with pytest.raises(ParamsError) as told:
        parse_section({"epochs": "many", "inner": {"rate": -1}}, "train", Outer, where="params.yaml")

    assert len(str(told.value).splitlines()) == 2


@pytest.mark.badinput
def test_a_missing_section_is_named(tmp_path: Path) -> None:
    """With the one that was probably meant."""
    with pytest.raises(ParamsError, match=r"no section 'train'\. Did you mean 'trian'\?"):
        load_section(written(tmp_path, "trian: {epochs: 2}\n"), "train", Outer)


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    """`train:` with nothing below it."""
    assert load_section(written(tmp_path, "train:\n"), "train", Outer) == Outer()


@given(word=st.text(max_size=20), known=st.lists(st.text(min_size=1, max_size=20), max_size=5))
def test_a_suggestion_is_always_a_known_word(word: str, known: list[str]) -> None:
    """Whatever was typed."""
    told = did_you_mean(word, known)

    assert told == "" or any(name in told for name in known)
