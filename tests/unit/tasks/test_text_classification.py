"""Texts as numbers, and which of them are the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.tasks import text_classification as task

OPTIONS = {"tokenizer": "words", "max_tokens": 6, "vocabulary": 100, "min_count": 1, "lowercase": True}


def texts(*found: str) -> np.ndarray:
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array


def table(*found: str) -> pa.Table:
    return pa.table({"text": pa.array(found, pa.string())})


def fit(*found: str, **changes) -> dict:
    return task.fit_encoding([texts(*found)], **{**OPTIONS, **changes})


def known(text: str, **changes) -> set[str]:
    """Tokens of a text."""
    return {*json.loads(fit(text, **changes)["tokenizer"])["model"]["vocab"]} - {"[UNK]"}


def test_tokens_are_words_with_their_apostrophes_and_single_signs():
    """`don't` is one word, a full stop another token, and a ligature the letters it stands for."""
    assert known("Don't stop - the ﬁnal, 2-1!") == {"don't", "stop", "-", "the", "final", ",", "2", "1", "!"}
    assert known("Don't", lowercase=False) == {"Don't"}


def test_pairs_of_bytes_know_every_text():
    """A word that no training text has is spelt, so nothing is unknown."""
    encoding = fit("low lower lowest " * 20, tokenizer="bpe", vocabulary=300, max_tokens=12)
    known, spelt, nothing = task.encode(texts("Lowest", "owl \u4e2d!", ""), encoding)

    assert (known > 0).sum() == 1
    assert (spelt > 0).sum() > 4
    assert task.UNKNOWN not in spelt
    assert nothing.tolist() == [task.UNKNOWN, *[0] * 11]
    assert max(known.max(), spelt.max()) < encoding["shape"][1]
    assert encoding["requires"] == ["tokenizers"]


def test_a_model_of_an_earlier_version_reads_its_words():
    """Its description lists them, in the order of their numbers; marks that combine were signs by themselves."""
    earlier = {"shape": [6, 7], "lowercase": True, "words": "match won \u0939 \u093f \u0928"}

    found = task.encode(texts("The MATCH was won", "", "\u0939\u093f\u0928", "won " * 9), earlier)

    assert found.tolist() == [[1, 2, 1, 3, 0, 0], [1, 0, 0, 0, 0, 0], [4, 5, 6, 0, 0, 0], [3] * 6]


def test_frequent_words_have_small_numbers_and_equals_go_by_letters():
    """The vocabulary is a function of the texts, not of their order."""
    one, other = fit("b a c", "a c d"), fit("a c d", "b a c")

    assert one == other
    assert task.encode(texts("a c b d"), one).tolist() == [[2, 3, 4, 5, 0, 0]]
    assert one["shape"] == [6, 6]


def test_a_text_is_cut_and_filled_up():
    """Every text has as many numbers: 0 for no token, 1 for a word that the training split lacks."""
    encoding = fit("a a b", max_tokens=3)

    assert task.encode(texts("b new a b", "a", ""), encoding).tolist() == [[3, 1, 2], [2, 0, 0], [1, 0, 0]]


def test_what_is_lost_is_measured():
    """The report says how much of the training split the network never sees."""
    measured = fit("a a a a", "a b", max_tokens=3, min_count=2)["measured"]

    assert measured == {
        "texts": 2,
        "mean_tokens": 3.0,
        "truncated_texts": 0.5,
        "truncated_tokens": round(1 / 6, 6),
        "unknown_tokens": round(1 / 6, 6),
    }


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_text_has_an_answer(found):
    """A server gets anything: each text is in range, and none is without a token."""
    encoding = fit("some words to know")
    numbers = task.encode(texts(*found), encoding)

    assert numbers.shape == (len(found), 6)
    assert numbers.dtype == np.int32
    assert ((numbers >= 0) & (numbers < encoding["shape"][1])).all()
    assert (numbers[:, 0] > 0).all()


@pytest.mark.badinput
def test_a_text_of_a_million_characters_is_read_to_its_limit_only():
    """Its numbers are those of its beginning."""
    encoding = fit("a b c")

    assert task.encode(texts("a " * 500_000), encoding).tolist() == [[2] * 6]


LONG = " ".join(f"word{number}" for number in range(60))


def test_near_texts_share_a_key_and_are_confirmed_on_their_words():
    """A later edition with another last word is the same article; another article is not."""
    edited = LONG.replace("word59", "other")
    keys = task.near_duplicate_keys(table(LONG, edited, "something else that nobody wrote before"), {"payload": "text"})

    assert (keys[0] == keys[1]).any()
    assert not (keys[0] == keys[2]).any()
    assert task.are_near_duplicates(texts(LONG, LONG), texts(edited, "nothing of it"), 0.1).tolist() == [True, False]


def test_case_and_spaces_make_no_other_text():
    """They are the same words."""
    assert task.are_near_duplicates(texts("A  match\nwon"), texts("a match won"), 0.0).all()


def test_the_module_needs_nothing_of_ours():
    """It is copied into registered models, which are loaded where there is no Headrace and no pyarrow."""
    code = (
        "import sys; sys.modules['headrace'] = sys.modules['pyarrow'] = None\n"
        f"import importlib.util as u; spec = u.spec_from_file_location('task', {str(Path(task.__file__))!r})\n"
        "module = u.module_from_spec(spec); spec.loader.exec_module(module); print(module.PROGRAM)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout == "text_classification\n", done.stderr
