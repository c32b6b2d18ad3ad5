"""Running text: stretches of it at rest, a string column `text`, as tokens, as blocks to train on, and what a model makes of each.

Copied into every registered model of this task, so that raw texts are answered without Headrace: it imports numpy and nothing of ours;
byte pairs need the library `tokenizers`, which such a model then names among its requirements.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

LOSS = "cross_entropy"
PROGRAM = "language_modeling"

SLICES = ("characters", "bytes", "words")
"""Measured columns that go with the scores: losses are told per character, per byte and per word."""

BATCH_RECORDS = 64
"""Records that go through a model at once: each has thousands of scores for every token."""

NONE, START, UNKNOWN, FIRST = 0, 1, 2, 3
"""Numbers of no token, of the beginning of a stretch, of a character that is not in the vocabulary, and of the first one that is."""

IGNORED = -100
"""Target that counts for nothing: behind the last token, and where a stretch ends, which is where somebody cut."""

_SLACK = 1.25
"""A stretch may have so many times the tokens of the longest one in training; what goes beyond is not read, and has no score."""


def inputs(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Texts as they stand, object (N,)."""
    found = np.empty(table.num_rows, dtype=object)
    found[:] = table.column(str(record["payload"])).to_pylist()
    return found


def features(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """Texts as they stand, object (N,): the classical models count tokens themselves."""
    return inputs(table, record)


def fit_encoding(
    parts: Iterable[np.ndarray],
    *,
    tokenizer: str,
    context: int,
    vocabulary: int,
    min_count: int,
    record: Mapping[str, Any] | None = None,  # noqa: ARG001  # the contract's argument
) -> dict[str, Any]:
    """The tokens of training texts, JSON values only.

    Args:
        parts: texts, some at a time.
        tokenizer: 'characters', or 'bpe' for pairs of bytes that occur together, learnt by the library `tokenizers`.
        context: tokens that a network sees at once.
        vocabulary: tokens at most; characters: the most frequent ones.
        min_count: occurrences below which a character, or a pair, is no token.
        record: nothing is taken from it.

    Returns:
        `shape` (context, numbers in use), `windows` of that size for one text, the tokens, and `measured` of the training texts.
    """
    texts = [str(text) for part in parts for text in part]
    found: dict[str, Any] = {"tokenizer": tokenizer}
    if tokenizer == "bpe":
        found |= {"bpe": _learn_pairs(texts, vocabulary=vocabulary, min_count=min_count), "requires": ["tokenizers"]}
        size = FIRST + _pairs(found["bpe"]).get_vocab_size()
    else:
        counts = Counter(sign for text in texts for sign in text)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:vocabulary]
        found["characters"] = "".join(sorted(sign for sign, count in ranked if count >= min_count))
        size = FIRST + len(found["characters"])
    tokens = [tokenize(text, found) for text in texts]
    lengths = [len(each) for each in tokens]
    total = max(sum(lengths), 1)
    return {
        **found,
        "shape": [context, size],
        "windows": max(1, -(-int(_SLACK * max(lengths, default=1)) // context)),
        "measured": {
            "texts": len(texts),
            "tokens": sum(lengths),
            "tokens_per_byte": round(total / max(sum(len(text.encode()) for text in texts), 1), 6),
            "truncated_tokens": 0.0,
            "unknown_tokens": round(sum(int((each == UNKNOWN).sum()) for each in tokens) / total, 6),
        },
    }


def _learn_pairs(texts: Sequence[str], *, vocabulary: int, min_count: int) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=min_count,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # every byte is a token: no text is unknown
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str())


@lru_cache(maxsize=4)
def _pairs(content: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(content)


@lru_cache(maxsize=4)
def _characters(known: str) -> np.ndarray:
    return np.frombuffer(known.encode("utf-32-le"), dtype=np.uint32)


def tokenize(text: str, encoding: Mapping[str, Any]) -> np.ndarray:
    """Numbers of all tokens of a text, int32 (L,)."""
    if encoding["tokenizer"] == "bpe":
        return np.array(_pairs(encoding["bpe"]).encode(text).ids, dtype=np.int32) + np.int32(FIRST)
    known = _characters(str(encoding["characters"]))
    signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    if not len(known):
        return np.full(len(signs), UNKNOWN, dtype=np.int32)
    place = np.minimum(np.searchsorted(known, signs), len(known) - 1)
    return np.where(known[place] == signs, place + FIRST, UNKNOWN).astype(np.int32)


def detokenize(numbers: Sequence[int], encoding: Mapping[str, Any]) -> str:
    """The text of tokens; what stands for none is left out, what was unknown is U+FFFD."""
    if encoding["tokenizer"] == "bpe":
        return str(_pairs(encoding["bpe"]).decode([number - FIRST for number in numbers if number >= FIRST]))
    known = str(encoding["characters"])
    return "".join(known[number - FIRST] if number >= FIRST else "\ufffd" for number in numbers if number >= UNKNOWN)


def encode(texts: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    """START and the tokens of each text, int32 (N, windows * context + 1): cut at the end, filled up with NONE."""
    width = int(encoding["windows"]) * int(encoding["shape"][0])
    numbers = np.full((len(texts), width + 1), NONE, dtype=np.int32)
    numbers[:, 0] = START
    for row, text in enumerate(texts):
        found = tokenize(str(text), encoding)[:width]
        numbers[row, 1 : 1 + len(found)] = found
    return numbers


def pack(texts: np.ndarray, encoding: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Texts one after the other in blocks of one size, so that no place of a batch is empty.

    Returns:
        Tokens int32 (M, context), each text after a START; and the token after each, int64 (M, context), IGNORED where that is none.
    """
    context = int(encoding["shape"][0])
    stream = np.concatenate([np.append(np.int32(START), tokenize(str(text), encoding)) for text in texts])
    blocks = max(1, -(-(len(stream) - 1) // context))
    padded = np.full(blocks * context + 1, NONE, dtype=np.int32)
    padded[: len(stream)] = stream
    after = padded[1:].astype(np.int64)
    after[after <= START] = IGNORED
    return padded[:-1].reshape(blocks, context), after.reshape(blocks, context)


def score(outputs: np.ndarray, texts: np.ndarray, targets: np.ndarray | None = None) -> np.ndarray:  # noqa: ARG001  # the contract's argument
    """Log-likelihood of each text in nats per byte of UTF-8, float64 (N,): the higher the better, whatever the tokens are.

    NaN for a text that fills all places: what may not have been read to its end has no likelihood.

    Args:
        outputs: log-probability of each token, 0 where there is none (N, L).
        texts: what they are of (N,).
        targets: nothing is taken from them.
    """
    size = np.array([max(1, len(str(text).encode("utf-8", "surrogatepass"))) for text in texts], dtype=np.float64)
    likelihood: np.ndarray = np.asarray(outputs, dtype=np.float64).sum(axis=1) / size
    return np.where(np.asarray(outputs)[:, -1] == 0, likelihood, np.nan)


def near_duplicate_keys(table: "pa.Table", record: Mapping[str, Any]) -> np.ndarray:
    """uint64 (N, 2): the two smallest hashes of a text's lines; texts of mostly the same lines often share one: candidates only."""
    keys = np.zeros((table.num_rows, 2), dtype=np.uint64)
    for row, text in enumerate(inputs(table, record)):
        smallest = sorted(_lines(text))[:2]
        keys[row] = [smallest[0], smallest[-1]]
    return keys


def _lines(text: str) -> set[int]:
    lines = {" ".join(line.split()) for line in str(text).splitlines()} - {""} or {""}
    return {
        int.from_bytes(hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") for line in lines
    }


def near_duplicate_profile(inputs: np.ndarray) -> np.ndarray:
    """float32 (N, 1) of zeros: no short vector of a text bounds how far two of them differ."""
    return np.zeros((len(inputs), 1), dtype=np.float32)


def are_near_duplicates(left: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the share of lines that only one of two texts has is at most `tolerance` (Jaccard distance): bool (N,)."""
    pairs = [(_lines(a), _lines(b)) for a, b in zip(left, right, strict=True)]
    return np.array([1 - len(a & b) / len(a | b) <= tolerance for a, b in pairs], dtype=bool)
