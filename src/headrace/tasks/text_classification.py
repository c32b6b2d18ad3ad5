"""One text, one class: how texts at rest, a string column `text`, become numbers, and when two of them are the same.

Copied into every registered model of this task, so that raw texts are answered without Headrace: it imports numpy and nothing of ours;
tokens need the library `tokenizers`, which such a model then names among its requirements.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

LOSS = "cross_entropy"
PROGRAM = "text_classification"

SLICES = ("words",)
"""Measured columns that go with the predictions: `evaluate` looks whether the score depends on them."""

PADDING, UNKNOWN = 0, 1
"""Numbers of no token, and of every token that is not in the vocabulary."""

_SPOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
"""A word with its inner apostrophes."""

_TOKEN = re.compile(rf"{_SPOKEN.pattern}|[^\w\s]")

_WORD = re.compile(r"\b\w+\b")

_UNKNOWN_WORD = "[UNK]"

_SHINGLE = 3
"""Words in a row that are compared; a shorter text is one shingle."""

_BANDS, _ROWS = 8, 2
"""Keys of a text, and hashes in each: two texts that share nine shingles in ten share a key with a chance of .999998, two that share one
in ten with one of .08. A key of one hash is shared by all texts that have the same frequent shingle."""

_COMPARED_WORDS = 20_000
"""A longer text is compared by its first words."""


def inputs(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Texts as they stand, object (N,)."""
    found = np.empty(table.num_rows, dtype=object)
    found[:] = table.column(str(record["payload"])).to_pylist()
    return found


def features(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Texts as they stand, object (N,): the classical models count words themselves."""
    return inputs(table, record)


def pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where its words stand."""
    for found in _SPOKEN.finditer(text):
        yield found.span()


def fit_encoding(
    parts: Iterable[np.ndarray],
    *,
    tokenizer: str,
    max_tokens: int,
    vocabulary: int,
    min_count: int,
    lowercase: bool,
    record: Mapping[str, Any] | None = None,  # noqa: ARG001  # the contract's argument
) -> dict[str, Any]:
    """A tokenizer of training texts, in their compatible composed form (NFKC), JSON values only.

    Args:
        parts: texts, some at a time.
        tokenizer: 'words', with their inner apostrophes, and single signs; or 'bpe', pairs of bytes that occur together.
        max_tokens: tokens of one text that are kept, from its beginning.
        vocabulary: tokens at most, the most frequent ones; equal words by their letters.
        min_count: occurrences below which a word, or a pair, is no token.
        lowercase: whether capitals are told apart.
        record: nothing is taken from it.

    Returns:
        As `fit_tokenizer`.
    """
    from tokenizers import Regex, models, pre_tokenizers, trainers

    texts = [_clean(text) for part in parts for text in part]
    common: dict[str, Any] = {
        "vocab_size": vocabulary + 1,
        "special_tokens": [
            _UNKNOWN_WORD
        ],  # the first number of each kind, also where no text is unknown: networks hide tokens by it
        "min_frequency": min_count,
        "show_progress": False,
    }
    if tokenizer == "bpe":
        found = _reading(models.BPE(), pre_tokenizers.ByteLevel(), lowercase=lowercase)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # every byte is a token
        found.train_from_iterator(texts, trainers.BpeTrainer(initial_alphabet=alphabet, **common))
    else:
        words = pre_tokenizers.Split(Regex(_TOKEN.pattern), behavior="removed", invert=True)
        found = _reading(models.WordLevel(unk_token=_UNKNOWN_WORD), words, lowercase=lowercase)
        found.train_from_iterator(texts, trainers.WordLevelTrainer(**common))
    return fit_tokenizer([np.array(texts, dtype=object)], tokenizer=found.to_str(), max_tokens=max_tokens)


def _reading(model: Any, pre_tokenizer: Any, *, lowercase: bool) -> Any:
    from tokenizers import Tokenizer, normalizers

    found = Tokenizer(model)
    found.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])])
    found.pre_tokenizer = pre_tokenizer
    return found


def fit_tokenizer(parts: Iterable[np.ndarray], *, tokenizer: str, max_tokens: int) -> dict[str, Any]:
    """A tokenizer that is there already, such as that of a pretrained network: nothing is learnt of training texts, only told how it fits.

    Args:
        parts: texts, some at a time.
        tokenizer: a tokenizer.json.
        max_tokens: tokens of one text that are kept, those that mark its ends among them.

    Returns:
        `shape` (tokens, numbers in use: those of the tokenizer, moved up by PADDING), `tokenizer`, and `measured`: shares of the training
        texts and tokens that are lost.

    Raises:
        ValueError: no room for a token of the text itself.
    """
    whole = _tokenizer(tokenizer, None)
    marks = whole.num_special_tokens_to_add(is_pair=False)
    if max_tokens <= marks:
        raise ValueError(f"max_tokens is {max_tokens}, and every text has {marks} tokens that mark its ends")
    model = json.loads(tokenizer)["model"]
    unknown = model["unk_id"] if model.get("unk_id") is not None else whole.token_to_id(model.get("unk_token") or "")
    lengths, strangers = [], 0
    for part in parts:
        for text in part:
            ids = whole.encode(_clean(text)).ids
            lengths.append(len(ids))
            strangers += ids.count(unknown) if unknown is not None else 0
    total = max(sum(lengths), 1)
    return {
        "shape": [max_tokens, max(whole.get_vocab(with_added_tokens=True).values()) + 2],
        "tokenizer": tokenizer,
        "requires": ["tokenizers"],
        "measured": {
            "texts": len(lengths),
            "mean_tokens": round(total / max(len(lengths), 1), 2),
            "truncated_texts": round(sum(length > max_tokens for length in lengths) / max(len(lengths), 1), 6),
            "truncated_tokens": round(sum(max(0, length - max_tokens) for length in lengths) / total, 6),
            "unknown_tokens": round(strangers / total, 6),
        },
    }


@lru_cache(maxsize=4)
def _tokenizer(content: str, max_tokens: int | None) -> Any:
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(content)
    if max_tokens is not None:
        found.enable_truncation(max_tokens)
    return found


def _clean(text: Any) -> str:
    """A text that UTF-8 can hold: the tokenizer reads bytes."""
    return str(text).encode("utf-8", "replace").decode("utf-8")


def _with_tokenizer(texts: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    max_tokens = int(encoding["shape"][0])
    tokenizer = _tokenizer(str(encoding["tokenizer"]), max_tokens)
    numbers = np.full((len(texts), max_tokens), PADDING, dtype=np.int32)
    for row, text in zip(numbers, texts, strict=True):
        ids = tokenizer.encode(_clean(text)).ids
        row[: len(ids)] = np.array(ids, dtype=np.int32) + 1
        row[0] = row[0] or UNKNOWN
    return numbers


def fit_terms(parts: Iterable[np.ndarray], *, words: int, min_documents: int, vocabulary: int, max_words: int) -> dict[str, Any]:
    """What linear models count in texts: words and runs of words, without capitals, as scikit-learn's vectorizers find them.

    Args:
        parts: training texts, some at a time.
        words: longest run.
        min_documents: texts that a term must occur in.
        vocabulary: terms at most, those in the most texts; equals by their letters.
        max_words: of one text that are read, from its beginning.

    Returns:
        `shape` (-1: as many terms as a text has; number and count), `terms`, the settings, and `measured`.
    """
    documents: Counter[str] = Counter()
    lengths: list[int] = []
    for part in parts:
        for text in part:
            found = _words(text)
            lengths.append(len(found))
            documents.update(set(_runs(found[:max_words], words)))
    frequent = sorted((-count, term) for term, count in documents.items() if count >= min_documents)[:vocabulary]
    terms = sorted(term for _, term in frequent)
    return {
        "shape": [-1, 2],
        "runs": words,
        "max_words": max_words,
        "terms": "\n".join(terms),
        "measured": {
            "texts": len(lengths),
            "terms": len(terms),
            "mean_words": round(sum(lengths) / max(len(lengths), 1), 2),
            "truncated_texts": round(sum(length > max_words for length in lengths) / max(len(lengths), 1), 6),
        },
    }


def _words(text: str) -> list[str]:
    found: list[str] = _WORD.findall(str(text).lower())
    return found


def _runs(words: list[str], longest: int) -> Iterator[str]:
    for size in range(1, longest + 1):
        for at in range(len(words) - size + 1):
            yield words[at] if size == 1 else " ".join(words[at : at + size])


@lru_cache(maxsize=4)
def _places(joined: str, separator: str, start: int) -> dict[str, int]:
    """Numbers of the words in a text of many: a server asks with every request."""
    return {word: number for number, word in enumerate(joined.split(separator), start=start)} if joined else {}


def _counts(texts: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    places = _places(str(encoding["terms"]), "\n", 1)
    rows: list[list[tuple[int, int]]] = []
    for text in texts:
        words = _words(text)[: int(encoding["max_words"])]
        counts = Counter(places[run] for run in _runs(words, int(encoding["runs"])) if run in places)
        rows.append(sorted(counts.items()))
    found = np.zeros((len(rows), max([1, *map(len, rows)]), 2), dtype=np.int32)
    for row, items in zip(found, rows, strict=True):
        if items:
            row[: len(items)] = items
    return found


def encode(texts: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    """Texts as numbers, int32, by what `fit_encoding` or `fit_terms` learnt, or `fit_tokenizer` was given.

    Tokens (N, max_tokens) in their order: cut at the end, filled up with PADDING; an empty text is one UNKNOWN. Terms (N, L, 2): number,
    from 1, and count of each that a text has, zeros to the length of the text with the most.
    """
    if "terms" in encoding:
        return _counts(texts, encoding)
    return _with_words(texts, encoding) if "words" in encoding else _with_tokenizer(texts, encoding)


def _with_words(texts: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    """For models of before the library `tokenizers` made their tokens: their packages do not name it."""
    places, max_tokens = _places(str(encoding["words"]), " ", 2), int(encoding["shape"][0])
    numbers = np.full((len(texts), max_tokens), PADDING, dtype=np.int32)
    for row, text in zip(numbers, texts, strict=True):
        found = [
            places.get(word, UNKNOWN) for word in _first_tokens(str(text), max_tokens, lowercase=bool(encoding["lowercase"]))
        ]
        row[: max(len(found), 1)] = found or UNKNOWN
    return numbers


def _first_tokens(text: str, most: int, *, lowercase: bool) -> list[str]:
    normal = unicodedata.normalize("NFKC", text)
    return [
        found.group() for found, _ in zip(_TOKEN.finditer(normal.lower() if lowercase else normal), range(most), strict=False)
    ]


def near_duplicate_keys(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """uint64 (N, 8): pairs of the smallest hashes of a text's shingles under sixteen hash functions (MinHash, Broder 1997).

    Two texts agree in one hash with the probability of their similarity: candidates only.
    """
    from datasketch import MinHash  # `split` alone needs it

    shingles = ([each.encode("utf-8", "surrogatepass") for each in _shingles(text)] for text in inputs(table, record))
    smallest = [found.hashvalues for found in MinHash.generator(shingles, num_perm=_BANDS * _ROWS)]
    hashes = np.array(smallest, dtype=np.uint64).reshape(-1, _BANDS, _ROWS)
    return hashes[:, :, 0] << np.uint64(32) | hashes[:, :, 1]


def _shingles(text: str) -> set[str]:
    words = _first_tokens(text, _COMPARED_WORDS, lowercase=True)
    return {" ".join(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1))}


def near_duplicate_profile(inputs: np.ndarray) -> np.ndarray:
    """float32 (N, 1) of zeros: no short vector of a text bounds how far two of them differ."""
    return np.zeros((len(inputs), 1), dtype=np.float32)


def are_near_duplicates(left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the share of shingles that only one of two texts has is at most `tolerance` (Jaccard distance): bool (N,)."""
    known: dict[str, set[str]] = {}
    near = np.zeros(len(left), dtype=bool)
    for row, pair in enumerate(zip(left, right, strict=True)):
        a, b = (known[text] if text in known else known.setdefault(text, _shingles(text)) for text in pair)
        near[row] = 1 - len(a & b) / len(a | b) <= tolerance
    return near
