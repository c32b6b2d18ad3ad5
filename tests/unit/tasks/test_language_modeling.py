"""Running text as tokens, as blocks, and as one number for each record."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.tasks import language_modeling as task

TEXTS = np.array(["to be or not to be", "that is the question", "whether 'tis nobler"], dtype=object)
OPTIONS = {"context": 8, "vocabulary": 300, "min_count": 1}


def encoding(tokenizer: str = "characters") -> dict:
    return json.loads(json.dumps(task.fit_encoding([TEXTS], tokenizer=tokenizer, **OPTIONS)))


@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
def test_tokens_give_the_text_back(tokenizer):
    """What is generated is read by people: nothing may be lost on the way."""
    learnt = encoding(tokenizer)
    found = [task.detokenize(task.tokenize(text, learnt).tolist(), learnt) for text in TEXTS]

    assert found == TEXTS.tolist()


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_pairs_of_bytes_spell_any_text(text):
    """Every byte is a token, so no text is unknown."""
    learnt = encoding("bpe")

    assert task.detokenize(task.tokenize(text, learnt).tolist(), learnt) == text


def test_learning_pairs_twice_gives_the_same_bytes():
    """What DVC hashes is a function of the inputs, also where a library counts on several threads."""
    assert json.dumps(encoding("bpe")) == json.dumps(encoding("bpe"))


def test_an_unknown_character_is_one_token():
    """Any input has an answer."""
    numbers = task.tokenize("to \u03c9", encoding())

    assert (numbers == task.UNKNOWN).tolist() == [False, False, False, True]


def test_blocks_hold_every_token_once_and_predict_no_border():
    """A border is where somebody cut: it is seen as a beginning, and is nothing to be learnt."""
    learnt = encoding()
    inputs, after = task.pack(TEXTS, learnt)
    told = after[after != task.IGNORED].tolist()
    assert inputs.shape == after.shape
    assert inputs.shape[1] == 8
    assert told == [number for text in TEXTS for number in task.tokenize(text, learnt).tolist()]
    assert (inputs == task.START).sum() == len(TEXTS)


def test_targets_are_the_inputs_one_later():
    """Across blocks too."""
    inputs, after = task.pack(TEXTS, encoding())
    seen, told = inputs.ravel()[1:], after.ravel()[:-1]
    counted = told != task.IGNORED

    assert np.array_equal(seen[counted], told[counted])


def test_encoded_texts_begin_with_start_and_end_with_nothing():
    """Fixed width, whatever the length: also for a text longer than any of training, and for an empty one."""
    learnt = encoding()
    numbers = task.encode(np.array(["to be", "", "o" * 10_000], dtype=object), learnt)
    width = learnt["windows"] * 8 + 1
    assert numbers.shape == (3, width)
    assert (numbers[:, 0] == task.START).all()
    assert (numbers[1, 1:] == task.NONE).all()
    assert (numbers[2] != task.NONE).all()


def test_score_is_likelihood_per_byte_and_none_for_a_text_that_was_cut():
    """A model must not be praised for what it has not read."""
    outputs = np.array([[-1.0, -2.0, 0.0], [-1.0, -1.0, -1.0]], dtype=np.float32)
    found = task.score(outputs, np.array(["\u00e9", "abcdef"], dtype=object))
    assert found[0] == -1.5  # two bytes
    assert math.isnan(found[1])


def test_near_duplicates_share_most_of_their_lines():
    """Speeches are quoted; a quarter of other lines makes another text."""
    left = np.array(["a\nb\nc\nd", "a\nb"], dtype=object)
    right = np.array(["a\nb\nc\ne", "c\nd"], dtype=object)

    assert task.are_near_duplicates(left, right, 0.5).tolist() == [True, False]
