"""Texts: copies with words replaced by synonyms, left out or swapped with neighbours; inside the training loop, tokens left out."""

import csv
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from headrace.augmentation.contract import MakeCopies
from headrace.augmentation.seeds import copy_seed
from headrace.errors import DataError, ParamsError
from headrace.fingerprint import file_sha256
from headrace.params import Section
from headrace.plugins import resolve

UNKNOWN = 1
"""Number of a token that is not in the vocabulary (headrace/tasks/text_classification.py)."""

_PIECES = re.compile(r"\S+|\s+")

_BARE = re.compile(r"\w.*\w|\w")
"""A word without the signs around it."""

_LONGEST_LINE = 10_000
"""Characters of a line of the table of synonyms; more is another kind of file."""

SynonymTable = Mapping[str, Sequence[str]]
"""Synonyms of a word, in small letters, in the order of the table."""


class Synonyms(Section):
    """`augment.policy.synonyms`: a table of words that mean the same."""

    path: str = Field(pattern=r"\.(csv|tsv)$")
    """Relative to the project; UTF-8, a line such as `film,movie,motion picture` (csv) or the same with tabs (tsv), without a header."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file: what it holds is part of the params, so that another table makes other copies, and none unnoticed."""
    chance: float = Field(default=0.1, gt=0, le=1)
    """Of each word that has synonyms to become one of them."""

    @field_validator("path")
    @classmethod
    def _path_is_relative(cls, path: str) -> str:
        if path.startswith(("/", "~")):
            raise ValueError(f"{path} is a place of one machine; write it relative to the project")
        return path


class Policy(Section):
    """`augment.policy` of texts."""

    synonyms: Synonyms | None = None
    """Words replaced by one of their synonyms, before anything is swapped or left out."""

    drop_words: float = Field(default=0.0, ge=0, lt=1)
    """Chance of each word to be left out; one word always stays."""
    swap_words: float = Field(default=0.0, ge=0, lt=1)
    """Chance of each word to change places with the next one."""
    own: str | None = Field(default=None, pattern=r"^[\w.]+:[\w.]+$")
    """A change of your own, `module:function`, called first as function(text, draw) -> text, with a seeded random.Random."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.drop_words or self.swap_words or self.synonyms or self.own):
            raise ValueError(
                "every copy would repeat its original: raise drop_words or swap_words, name synonyms, or leave the policy out"
            )
        return self


class BatchPolicy(Section):
    """`train.augmentation` of texts."""

    drop_tokens: float = Field(default=0.1, gt=0, lt=1)
    """Chance of each token to become the unknown one, drawn anew in every epoch."""


def read_synonyms(options: Synonyms) -> SynonymTable:
    """The table, every line of it checked.

    Raises:
        ParamsError: it is another file than the params say.
        DataError: a line is no word with its synonyms.
    """
    path, where = Path(options.path), "augment.policy.synonyms"
    if not path.is_file():
        raise ParamsError(f"{where}.path: there is no file {path}. Write its path relative to the project.")
    if (found := file_sha256(path)) != options.sha256:
        raise ParamsError(
            f"{where}.sha256 is not that of {path}, which has {found}. Write this number into params.yaml if the table is meant."
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8. Save the table as UTF-8.") from None
    delimiter, table = "\t" if path.suffix == ".tsv" else ",", dict[str, list[str]]()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        word, *others = (cell.strip() for cell in next(csv.reader([line[:_LONGEST_LINE]], delimiter=delimiter)))
        fault = _fault(word, others, table) if len(line) <= _LONGEST_LINE else f"has {len(line):,} characters"
        if fault:
            raise DataError(f"{path}:{number}: {line[:80]!r} {fault}. A line is a word and then its synonyms.")
        table[word.lower()] = others
    if not table:
        raise DataError(f"{path} has no line. Give it words with their synonyms, or leave {where} out.")
    return table


def _fault(word: str, others: Sequence[str], table: SynonymTable) -> str:
    if _BARE.fullmatch(word) is None or " " in word:
        return f"begins with {word!r}, which is not one word"
    if not others:
        return "has no synonym"
    if "" in others:
        return "has an empty synonym"
    if word.lower() in (other.lower() for other in others):
        return f"gives {word!r} as a synonym of itself"
    if word.lower() in table:
        return f"has the word {word!r} of an earlier line"
    return ""


def replace_words(text: str, table: SynonymTable, chance: float, draw: random.Random) -> str:
    """The text with synonyms in the place of some words, written with a capital where these were; signs around a word stay."""

    def replace(found: re.Match[str]) -> str:
        bare = _BARE.search(found.group())
        others = table.get(bare.group().lower()) if bare else None
        if bare is None or not others or draw.random() >= chance:
            return found.group()
        new, old = draw.choice(others), bare.group()
        if old.isupper() and len(old) > 1:
            new = new.upper()
        elif old[0].isupper():
            new = new[0].upper() + new[1:]
        return bare.string[: bare.start()] + new + bare.string[bare.end() :]

    return re.sub(r"\S+", replace, text)


def change_text(text: str, policy: Policy, draw: random.Random, table: SynonymTable | None = None) -> str:
    """The text with synonyms of the table, then words swapped, then left out.

    What stands between words stays where it is, and a text without words as it is.
    """
    if table is not None and policy.synonyms is not None:
        text = replace_words(text, table, policy.synonyms.chance, draw)
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    place = 0
    while policy.swap_words and place + 1 < len(words):
        if draw.random() < policy.swap_words:
            left, right = words[place], words[place + 1]
            pieces[left], pieces[right] = pieces[right], pieces[left]
            place += 1  # a word moves by one place, not through the whole text
        place += 1
    if policy.drop_words and words:
        kept = [place for place in words if draw.random() >= policy.drop_words] or [draw.choice(words)]
        gone = set(words) - set(kept)
        # With a word goes the space behind it.
        pieces = [piece for place, piece in enumerate(pieces) if place not in gone and place - 1 not in gone]
    return "".join(pieces).strip()


def copier(policy: Policy, record: Mapping[str, Any], *, seed: int) -> MakeCopies:
    """Makes copies of texts, one at a time."""
    payload = str(record["payload"])
    own: Callable[[str, random.Random], str] | None = (
        resolve("augmentation", policy.own, None, where="augment.policy.own") if policy.own else None
    )
    table = read_synonyms(policy.synonyms) if policy.synonyms else None

    def change(text: str, draw: random.Random) -> str:
        if own is not None:
            text = own(text, draw)
            if not isinstance(text, str):
                raise ParamsError(f"augment.policy.own: {policy.own} gave a {type(text).__name__}; a text is a str.")
        return change_text(text, policy, draw, table)

    def copies(table: pa.Table, todo: Sequence[tuple[int, int]]) -> dict[str, pa.Array]:
        ids, texts = table["id"].to_pylist(), table[payload].to_pylist()
        changed = [change(texts[row], random.Random(copy_seed(seed, ids[row], copy))) for row, copy in todo]
        return {payload: pa.array(changed, pa.string())}

    return copies


def in_batches(policy: BatchPolicy, record: Mapping[str, Any], *, where: str) -> Callable[..., Tensor]:  # noqa: ARG001  # the contract's arguments
    """Tokens left out of batches, int64 (B, L) with 0 for no token."""

    def change(x: Tensor, index: Tensor, epoch: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001  # the contract's arguments
        gone = (torch.rand(x.shape, generator=generator) < policy.drop_tokens).to(x.device)
        return x.masked_fill(gone & (x != 0), UNKNOWN)

    return change
