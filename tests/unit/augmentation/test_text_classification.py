"""Copies of texts, and tokens left out of batches."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.texts import sentences, write_texts

from headrace.augmentation import text_classification as texts
from headrace.augmentation.copies import REVISION, plan_copies, policy_digest, write_copies
from headrace.dataset.shards import read_table
from headrace.errors import DataError, ParamsError
from headrace.fingerprint import file_sha256, value_sha256
from headrace.params import parse_section

BOTH = texts.Policy(drop_words=0.3, swap_words=0.3)


def made(train, out, seed=1):
    plan = plan_copies(train, copies=2, balance_to=0.0, max_copies=20, seed=seed)
    write_copies(train, out, texts, BOTH, plan, seed=seed)
    return read_table(out)


def test_copies_keep_their_label_and_consist_of_words_of_their_original(tmp_path):
    """Dropping and swapping invent nothing."""
    write_texts(tmp_path / "train", sentences(8))
    originals = {row["id"]: row for row in read_table(tmp_path / "train").to_pylist()}

    rows = made(tmp_path / "train", tmp_path / "out").to_pylist()

    assert len(rows) == 16
    for row in rows:
        original = originals[row["origin"].split()[0]]
        assert row["label"] == original["label"]
        assert set(row["text"].split()) <= set(original["text"].split())
    assert any(row["text"] != originals[row["origin"].split()[0]]["text"] for row in rows)


def test_a_copy_depends_on_its_original_and_seed_only(tmp_path):
    """Another order or another record changes no copy; another seed changes all ids."""
    rows = sentences(6)
    for name, found in {"a": rows, "b": rows[::-1]}.items():
        write_texts(tmp_path / name / "train", found)

    one, other = (made(tmp_path / name / "train", tmp_path / f"out-{name}") for name in "ab")
    again = made(tmp_path / "a" / "train", tmp_path / "again", seed=2)

    def by_id(table):
        return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))

    assert by_id(one) == by_id(other)
    assert not set(one["id"].to_pylist()) & set(again["id"].to_pylist())


@given(st.text(max_size=80), st.integers(0, 2**32 - 1))
def test_a_word_always_stays(text, seed):
    """A text never becomes empty, and a text without words stays without."""
    changed = texts.change_text(text, texts.Policy(drop_words=0.95), random.Random(seed))

    assert bool(changed.split()) == bool(text.split())


@pytest.mark.badinput
def test_a_text_of_a_million_characters_is_changed():
    """Length costs time in proportion, nothing more."""
    changed = texts.change_text("word " * 200_000, BOTH, random.Random(1))

    assert 0 < len(changed.split()) < 200_000


@pytest.mark.badinput
def test_a_policy_that_changes_nothing_is_refused():
    """Every copy would repeat its original."""
    with pytest.raises(ParamsError, match="every copy would repeat its original"):
        parse_section({"drop_words": 0}, "augment.policy", texts.Policy, where="params.yaml")


def test_tokens_left_out_of_a_batch_become_the_unknown_one():
    """What is no token stays none, or short texts would grow."""
    x = torch.tensor([[5, 6, 7, 8] * 50 + [0] * 10] * 8)
    change = texts.in_batches(texts.BatchPolicy(drop_tokens=0.5), {}, where="train.augmentation")

    y = change(x, torch.arange(8), 0, torch.Generator().manual_seed(1))

    assert ((y == x) | (y == 1)).all()
    assert torch.equal(y == 0, x == 0)
    assert 0.4 < (y == 1).sum() / (x != 0).sum() < 0.6


def test_a_change_of_ones_own_makes_the_copies(tmp_path, monkeypatch):
    """A translation there and back, say; it draws from a seeded generator."""
    (tmp_path / "own_text_code.py").write_text("def shout(text, draw):\n    return text.upper() + '!' * draw.randint(1, 1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    write_texts(tmp_path / "train", sentences(4))
    plan = plan_copies(tmp_path / "train", copies=1, balance_to=0.0, max_copies=20, seed=1)

    write_copies(tmp_path / "train", tmp_path / "out", texts, texts.Policy(own="own_text_code:shout"), plan, seed=1)

    assert all(text.isupper() and text.endswith("!") for text in read_table(tmp_path / "out")["text"].to_pylist())


def test_a_key_that_came_later_leaves_the_copies_of_before_as_they_were():
    """The digest is part of their ids: another one would retrain every model that had copies."""
    assert policy_digest(BOTH, 17) == value_sha256(
        {"policy": {"drop_words": 0.3, "swap_words": 0.3}, "seed": 17, "revision": REVISION}
    )


@pytest.fixture
def synonyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., texts.Synonyms]:
    """Options that name a table of these bytes in the project."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "synonyms.csv", chance: float = 1.0) -> texts.Synonyms:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return texts.Synonyms(path=name, sha256=file_sha256(path), chance=chance)

    return write


def test_words_become_synonyms_of_the_table_and_others_stay(synonyms):
    """With the signs and capitals of the word; a word that merely contains one of the table is another word."""
    table = texts.read_synonyms(synonyms("film,motion picture\nGOOD,fine\n\n"))

    changed = texts.replace_words('A "Film", GOOD; filmed  good-ish film.', table, 1.0, random.Random(1))

    assert changed == 'A "Motion picture", FINE; filmed  good-ish motion picture.'


def test_copies_with_synonyms_are_drawn_by_seed(synonyms, tmp_path):
    """As often as the chance says, and the same again."""
    options = synonyms("\ufeffgoal\tscore\tstrike\nbank\tlender\n", name="synonyms.tsv", chance=0.5)
    write_texts(tmp_path / "train", sentences(40))
    plan = plan_copies(tmp_path / "train", copies=1, balance_to=0.0, max_copies=20, seed=1)
    for out in ("one", "again"):
        write_copies(tmp_path / "train", tmp_path / out, texts, texts.Policy(synonyms=options), plan, seed=1)
    before = " ".join(read_table(tmp_path / "train")["text"].to_pylist()).split()
    one, again = (read_table(tmp_path / out)["text"].to_pylist() for out in ("one", "again"))
    after = " ".join(one).split()

    assert one == again
    assert len(after) == len(before)
    assert {new.strip(",") for old, new in zip(before, after, strict=True) if old != new} == {"score", "strike", "lender"}
    assert 0.3 < after.count("lender") / before.count("bank") < 0.7


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("film,movie\nlonely\n", r"synonyms\.csv:2: 'lonely' has no synonym"),
        ("film,movie,\n", "synonyms.csv:1: 'film,movie,' has an empty synonym"),
        ("film,Film\n", "gives 'film' as a synonym of itself"),
        ("film,movie\nFILM,picture\n", "synonyms.csv:2: .* of an earlier line"),
        ("motion picture,film\n", "'motion picture', which is not one word"),
        (",film\n", "begins with '', which is not one word"),
        ("film,movie\nword," + "x" * 200_000, r"synonyms\.csv:2: 'word,x+' has 200,005 characters"),
        ("\n", "has no line"),
        (b"caf\xe9,bar\n", "byte 3 is not UTF-8"),
    ],
)
def test_a_line_that_is_no_word_with_synonyms_is_refused(synonyms, content, message):
    """With its number and what it says: a table is written by hand."""
    with pytest.raises(DataError, match=message):
        texts.read_synonyms(synonyms(content))


@pytest.mark.badinput
def test_another_table_than_the_params_say_is_refused(synonyms, tmp_path):
    """The digest is a param, so DVC sees every change of the table; an edit that nobody wrote down makes no copy."""
    options = synonyms("film,movie\n")
    (tmp_path / "synonyms.csv").write_text("film,picture\n")

    with pytest.raises(ParamsError, match=f"which has {file_sha256(tmp_path / 'synonyms.csv')}"):
        texts.read_synonyms(options)
    (tmp_path / "synonyms.csv").unlink()
    with pytest.raises(ParamsError, match=r"there is no file synonyms\.csv"):
        texts.read_synonyms(options)
    with pytest.raises(ParamsError, match="a place of one machine"):
        parse_section(
            {"path": "/shared/a.csv", "sha256": "0" * 64}, "augment.policy.synonyms", texts.Synonyms, where="params.yaml"
        )
