"""Running text: counts of runs of tokens, smoothed; the tokens are learnt from the same training split as the network's."""

import math
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from headrace.params import Section
from headrace.tasks.language_modeling import START, UNKNOWN, fit_encoding, score, tokenize

NAMES = ("unigram", "bigram", "ngram")

_BITS = 63
"""Of the number that stands for a run of tokens."""

_CODE_POINTS = 0x110000
"""An unknown character is any of them, as for the network (headrace/training/language_modeling.py)."""


class Config(Section):
    """Settings of the models."""

    order: int = Field(default=6, ge=1, le=12)
    """Tokens of the longest run that `ngram` counts; shorter where the vocabulary is so large that a run does not fit into 63 bits."""
    tokenizer: Literal["characters", "bpe"] = "characters"
    vocabulary: int = Field(default=4096, ge=2, le=1_000_000)
    """Different tokens at most."""
    min_count: int = Field(default=2, ge=1)
    """Occurrences in the training split below which a character, or a pair, is no token."""


def make(name: str, config: Config, *, seed: int) -> "NGram":  # noqa: ARG001  # the contract's argument
    """An unfitted model of texts."""
    return NGram({"unigram": 1, "bigram": 2, "ngram": config.order}[name], config)


class NGram:
    """Interpolated Kneser-Ney: the share of a token after a run, discounted, and for the rest what follows the shorter run.

    Args:
        order: tokens of the longest run.
        config: which tokens.

    Source: Chen and Goodman 1999, "An empirical study of smoothing techniques", section 3; one discount an order, n1 / (n1 + 2 n2).
    """

    def __init__(self, order: int, config: Config) -> None:
        self.order, self.config = order, config

    def fit(self, texts: np.ndarray, labels: np.ndarray) -> Self:  # noqa: ARG002  # there are none
        """Count the runs of every length."""
        settings = self.config.model_dump(exclude={"order"})
        self.encoding: dict[str, Any] = fit_encoding([texts], context=2, **settings)
        self.size = int(self.encoding["shape"][1])
        self.order = min(self.order, int(_BITS / math.log2(self.size)))
        runs = np.concatenate([self._runs(str(text)) for text in texts])  # (tokens, order)
        codes = [self._code(runs[:, self.order - length :]) for length in range(self.order + 1)]
        self._levels: list[_Level] = []
        kept, counts = np.unique(codes[self.order], return_counts=True)
        for length in range(self.order, 0, -1):
            self._levels.insert(0, _Level(kept, counts, self.size))
            # Of a shorter run counts in how many ways it goes on to the left, not how often it stands there.
            kept, counts = np.unique(kept % self.size ** (length - 1), return_counts=True)
        return self

    def score(self, texts: np.ndarray) -> np.ndarray:
        """Log-likelihood of each text in nats per byte, float64 (N,)."""
        sums = np.array([[self._log_probabilities(str(text)).sum(), 0.0] for text in texts])
        return score(sums, texts)

    def _log_probabilities(self, text: str) -> np.ndarray:
        runs = self._runs(text)
        found = np.full(len(runs), 1 / (self.size - UNKNOWN))  # every token but NONE and START, all alike
        for length, level in enumerate(self._levels, start=1):
            found = level.interpolate(self._code(runs[:, self.order - length :]), found)
        logs: np.ndarray = np.log(found) - math.log(_CODE_POINTS) * (runs[:, -1] == UNKNOWN)
        return logs

    def _runs(self, text: str) -> np.ndarray:
        """Every token with those before it, int64 (L, order); before the first one stands START."""
        numbers = np.concatenate([np.full(self.order - 1, START), tokenize(text, self.encoding)]).astype(np.int64)
        if len(numbers) < self.order:
            return np.zeros((0, self.order), dtype=np.int64)
        return np.lib.stride_tricks.sliding_window_view(numbers, self.order)

    def _code(self, runs: np.ndarray) -> np.ndarray:
        code = np.zeros(len(runs), dtype=np.int64)
        for column in runs.T:
            code = code * self.size + column
        return code


class _Level:
    """Counts of runs of one length: codes ascending, how often each counts, and the same of what stands before the last token."""

    def __init__(self, codes: np.ndarray, counts: np.ndarray, size: int) -> None:
        self.codes, self.counts, self.size = codes, counts.astype(np.float64), size
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        self.discount = once / (once + 2 * twice) if once and twice else 0.5
        self.befores, first, self.followers = np.unique(codes // size, return_index=True, return_counts=True)
        self.totals = np.add.reduceat(self.counts, first) if len(first) else np.zeros(0)

    def interpolate(self, codes: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """Probability of the last token after the others, given that after the shorter run."""
        count = _look_up(self.codes, self.counts, codes)
        before = codes // self.size
        total = _look_up(self.befores, self.totals, before)
        followers = _look_up(self.befores, self.followers.astype(np.float64), before)
        seen = total > 0
        safe = np.where(seen, total, 1.0)
        mixed = (np.maximum(count - self.discount, 0) + self.discount * followers * shorter) / safe
        return np.where(seen, mixed, shorter)


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values at the wanted keys, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
