"""Counts of runs of tokens: probabilities that sum to one, better the more they look back."""

import math

import numpy as np
import pytest
from tests.unit.running_text import paragraphs

from headrace.baselines.language_modeling import Config, NGram, make

TRAIN, TEST = np.array(paragraphs(300), dtype=object), np.array(paragraphs(40, seed=1), dtype=object)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_may_follow_has_probability_one_in_all(order):
    """Else a loss would mean nothing."""
    model = NGram(order, Config(min_count=1)).fit(TRAIN, np.zeros(0))
    signs = model.encoding["characters"]
    for before in ("the ki", "zzz", ""):
        ends = [math.exp(model._log_probabilities(before + sign)[-1]) for sign in signs]
        unknown = math.exp(model._log_probabilities(before + "\u03c9")[-1]) * 0x110000

        assert sum(ends) + unknown == pytest.approx(1, abs=1e-9)


def test_a_longer_look_back_expects_more():
    """The order of the baselines: none, one, several tokens back."""
    scores = [
        make(name, Config(order=5), seed=0).fit(TRAIN, np.zeros(0)).score(TEST).mean() for name in ("unigram", "bigram", "ngram")
    ]

    assert scores == sorted(scores)


def test_pairs_of_bytes_are_counted_too():
    """The same tokens as the network's, and a loss in the same unit."""
    model = make("ngram", Config(tokenizer="bpe", vocabulary=300, order=9), seed=0).fit(TRAIN, np.zeros(0))
    assert model.order == 7  # 303 to the eighth does not fit into 63 bits
    assert model.score(TEST).mean() > -2


@pytest.mark.badinput
def test_texts_of_nothing_but_unknown_signs_have_a_finite_score():
    """Any record has an answer."""
    model = make("ngram", Config(), seed=0).fit(TRAIN, np.zeros(0))

    assert np.isfinite(model.score(np.array(["\u03c9\u03c8", "", "x" * 2000], dtype=object))).all()
